import { EdgeError } from '../errors.ts';

/** A part of this package that is imported once it is needed. @throws NETWORK where that fails */
export async function part<T>(imported: Promise<T>): Promise<T> {
  try {
    return await imported;
  } catch (cause) {
    const help =
      'ServiceWorkerGlobalScope' in globalThis
        ? 'bundle a service worker as one file, without chunks'
        : 'serve every script that the bundler wrote';
    throw new EdgeError('NETWORK', `A script of edge-ssm was not imported: ${cause}; ${help}`, { cause });
  }
}
