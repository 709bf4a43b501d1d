import { execFileSync } from 'node:child_process';
import { cpus, loadavg } from 'node:os';

/** Device, runtime, commit, date and command of a run. */
export function machine(node) {
  const run = (command, ...args) => {
    try {
      return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    } catch {
      return 'unknown';
    }
  };
  const load = loadavg()[0];
  return {
    date: new Date().toISOString().slice(0, 10),
    device: `${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${cpus().length} cores`,
    runtime: `Node ${run(node, '--version').replace('v', '')}`,
    commit: run('git', 'rev-parse', '--short', 'HEAD'),
    command: `npm run bench -- ${process.argv.slice(2).join(' ')}`.trim(),
    load: load.toFixed(2),
    busy: load > 0.5 * cpus().length,
  };
}
