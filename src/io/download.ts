import { cacheFolder, environment } from '#runtime';
import { EdgeError } from '../errors.ts';
import { BlockSource } from './blocks.ts';
import { FileCache } from './cache.ts';
import type { HttpOptions } from './http.ts';
import { MemorySource } from './memory.ts';
import type { ByteSource, DownloadOptions } from './types.ts';
import { openUrl } from './url.ts';

const LARGE = 2 ** 20; // bytes: the hub knows the checksums of such files
const HUB = 'https://huggingface.co';

/** Opens URLs through the cache, as options and environment say. */
export class Downloads {
  readonly endpoint: string; // of the hub, without a slash at its end
  readonly token: string | undefined;
  private readonly cache: FileCache | null;
  private readonly offline: boolean;

  constructor(
    { cache = true, endpoint, token, offline }: DownloadOptions = {},
    readonly http: HttpOptions = {},
  ) {
    const folder = typeof cache === 'string' ? cache : cache ? cacheFolder() : null;
    this.cache = folder === null ? null : new FileCache(folder);
    this.endpoint = (endpoint ?? environment('HF_ENDPOINT') ?? HUB).replace(/\/+$/, '');
    this.token = token ?? environment('HF_TOKEN');
    this.offline = offline ?? /^(1|true|yes|on)$/i.test(environment('HF_HUB_OFFLINE') ?? '');
    if (!URL.canParse(this.endpoint) || !/^https?:/.test(this.endpoint))
      throw new EdgeError(
        'INVALID_ARGUMENT',
        `endpoint must be an http(s) URL such as '${HUB}', found '${this.endpoint.slice(0, 100)}'`,
      );
  }

  /** The message's part where a file is missing. */
  get note(): string | undefined {
    return this.offline ? 'the cache holds no such file, and nothing is fetched (offline)' : undefined;
  }

  /** A URL for ranged reads; null where there is no such file. `sha256` is what it must have, if that is known. */
  async open(
    url: string,
    signal?: AbortSignal,
    headers: Record<string, string> = {},
    sha256: () => Promise<string | null> = async () => null,
  ): Promise<ByteSource | null> {
    if (this.offline) return (await this.cache?.newest(url)) ?? null;
    const remote = await openUrl(url, signal, { ...this.http, headers });
    if (!remote) return null;
    if (this.cache)
      return this.cache.through(url, remote, remote.source.size > LARGE ? await sha256() : null);
    return remote.source instanceof MemorySource ? remote.source : new BlockSource(remote.source, null);
  }
}
