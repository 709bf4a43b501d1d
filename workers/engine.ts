/** The script of the engine's worker. */
import { expose, wrap } from 'comlink';
import { engineEndpoint } from '#runtime';
import { createBackends } from './compose.ts';
import { installErrorTransfer } from './errors.ts';
import type { Loader } from './protocol.ts';
import { EngineHost } from './service.ts';

installErrorTransfer();
const endpoint = engineEndpoint();
const loader = wrap<Loader>(endpoint);
expose(
  new EngineHost(
    {
      progress: (progress) => void loader.progress(progress),
      readFile: (index, offset, length) => loader.readFile(index, offset, length),
      wasmModule: (name) => loader.wasmModule(name),
    },
    createBackends,
  ),
  endpoint,
);
