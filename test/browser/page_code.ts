import { CHATML } from '../tokenizer/templates.ts';

/** A conversation, whatever the model's own template. */
export const CHAT = { messages: [{ role: 'user', content: 'Hi' }], template: CHATML };

/** Enough to be in the middle of them for a while on a software GPU. */
export const TOKENS_ON_GPU = 60;

/** What a page does with the package; it is bundled, and called by the tests. */
export const PAGE = `
  import { EdgeError, load } from 'edge-ssm';

  const code = (promise) => promise.then(() => 'none', (e) => (e instanceof EdgeError ? e.code : String(e)));

  globalThis.use = async ({ source = 'tiny', ...options }, prompt) => {
    const seen = { isolated: crossOriginIsolated };
    const model = await load(source, options);
    const { threads, variant, why, device } = model.info;
    Object.assign(seen, { threads, variant, why, device });
    const { tokens } = await model.generate(prompt, { maxTokens: 40 }).result();
    seen.ids = tokens.map(({ id }) => id);
    const session = await model.session();
    const left = [];
    for await (const { id } of session.generate(prompt)) if (left.push(id) === 7) break;
    const rest = await session.generate('', { maxTokens: 33 }).result();
    seen.chat = (await model.generate(${JSON.stringify(CHAT)}, { maxTokens: 9 }).result()).text;
    seen.left = [...left, ...rest.tokens.map(({ id }) => id)];
    const logits = await model.logits([5, 6, 7]);
    seen.logits = new Uint32Array(logits.buffer).reduce((hash, word) => Math.imul(hash ^ word, 0x01000193) >>> 0, 1);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 50);
    seen.aborted = await code(session.append(new Int32Array(1e6).fill(5), { signal: controller.signal }));
    seen.selfTest = (await model.selfTest()).ok;
    const pending = code(model.score(new Int32Array(1e6).fill(5)));
    await model.dispose();
    seen.disposed = [await pending, await code(model.session())];
    return seen;
  };

  globalThis.useFiles = async (prompt, base) => {
    const names = ['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json'];
    const files = await Promise.all(names.map(async (name) =>
      new File([await (await fetch(base + name)).blob()], name)));
    const stages = new Set();
    const model = await load(files, { threads: 1, onProgress: ({ stage }) => stages.add(stage) });
    const { text, tokens } = await model.generate(prompt, { maxTokens: 12 }).result();
    await model.dispose();
    return { ids: tokens.map(({ id }) => id), stages: [...stages], text };
  };

  globalThis.onGpu = async (source) => {
    const seen = { wasm: [], webgpu: [], events: [] };
    for (const name of ['freeze', 'resume']) document.addEventListener(name, () => seen.events.push(name));
    document.addEventListener('visibilitychange', () => seen.events.push(document.visibilityState));
    for (const backend of ['wasm', 'webgpu']) {
      const model = await load(source, { backend, numerics: 'exact', quantize: 'none', threads: 1 });
      for await (const { id } of model.generate([1, 5, 9, 200, 31, 77], { maxTokens: ${TOKENS_ON_GPU}, ignoreEos: true })) {
        seen[backend].push(id);
        globalThis.onGpuBegan = backend === 'webgpu';
      }
      await model.dispose();
    }
    return seen;
  };

  globalThis.keepFetched = async (prompt, source) => {
    const ids = [];
    for (const offline of [false, true]) {
      const model = await load(source, { threads: 1, download: { offline } });
      const { tokens } = await model.generate(prompt, { maxTokens: 12 }).result();
      ids.push(tokens.map(({ id }) => id));
      await model.dispose();
    }
    const absent = await load(source + 'absent/', { download: { offline: true } }).then(() => 'there', (e) => e.code);
    const kept = [];
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('edge-ssm');
    for await (const inner of folder.values())
      for await (const name of inner.keys()) kept.push(name.split('.').at(-1));
    return { ids, absent, kept: kept.sort() };
  };

  globalThis.keep = async (prompt) => {
    const model = await load('tiny', { threads: 1 });
    const session = await model.session();
    await session.append(prompt);
    const folder = await navigator.storage.getDirectory();
    const handle = await folder.getFileHandle('talk.state', { create: true });
    await session.saveTo(handle);
    const file = await handle.getFile();
    const seen = { bytes: file.size - (await session.save()).length, ids: [] };
    for (const from of [file, file.stream(), URL.createObjectURL(file)]) {
      const restored = await model.session({ from });
      const { tokens } = await restored.generate('', { maxTokens: 12 }).result();
      seen.ids.push(tokens.map(({ id }) => id));
      await restored.close();
    }
    await model.dispose();
    return seen;
  };

  globalThis.fail = async (source, options) => {
    const error = await load(source, options).then(() => null, (e) => e);
    return { edge: error instanceof EdgeError, code: error?.code, message: error?.message };
  };`;
