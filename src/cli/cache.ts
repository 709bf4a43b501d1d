import { type CacheEntry, FileCache } from '../io/cache.ts';
import { cacheFolder } from '../runtime/node.ts';
import { print, setExitCode } from '../runtime/terminal.node.ts';
import type { Command } from './command.ts';
import { UsageError } from './options.ts';
import { bytes } from './report.ts';

export const cache: Command = {
  name: 'cache',
  usage: 'cache ls|rm|verify [TEXT]',
  help: 'files that were fetched: all, or those with TEXT in their URL',
  options: [],
  run: async (options) => {
    const [action, text, ...rest] = options.positionals;
    if (rest.length > 0) throw new UsageError(`Expected one text, found ${rest.length + 1}`);
    const folder = cacheFolder()!;
    const files = new FileCache(folder);
    const entries = (await files.list()).filter(({ url }) => text === undefined || url.includes(text));
    const say = (lines: string[], value: unknown) =>
      print(options.flag('json') ? `${JSON.stringify(value)}\n` : lines.map((line) => `${line}\n`).join(''));
    if (action === 'ls') {
      const total = entries.reduce((sum, { size }) => sum + size, 0);
      const lines = entries.map(({ url, size }) => `${bytes(size).padStart(10)}  ${url}`);
      return say([...lines, `${bytes(total).padStart(10)}  in ${folder}`], { folder, files: entries });
    }
    if (action === 'rm') {
      if (text === undefined)
        await files.clear(); // what is not whole, too
      else for (const entry of entries) await files.remove(entry);
      return say([`removed ${entries.length} files`], { removed: entries.map(({ url }) => url) });
    }
    if (action === 'verify') {
      const damaged: CacheEntry[] = [];
      for (const entry of entries) if (!(await files.verify(entry))) damaged.push(entry);
      if (damaged.length > 0) setExitCode(1);
      const lines = damaged.map(({ url }) => `damaged: ${url} (edge-ssm cache rm, then fetch it again)`);
      return say(
        [...lines, `${entries.length - damaged.length} of ${entries.length} files are as they came`],
        {
          files: entries.length,
          damaged: damaged.map(({ url }) => url),
        },
      );
    }
    throw new UsageError(`cache takes ls, rm and verify${action === undefined ? '' : `, found '${action}'`}`);
  },
};
