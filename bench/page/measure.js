/** One model in this browser, end to end, through the library as users have it; verified before it is timed. */
export async function measure({ source, threads, numerics, prompt, tokens }) {
  const { load } = await import('/edge-ssm/browser/index.js');
  const begin = performance.now();
  const model = await load(source, { threads: Number(threads), numerics, maxSessions: 1 });
  const loadMs = performance.now() - begin;
  if (!(await model.selfTest()).ok) throw new Error('The self-test of this device fails: nothing is timed');
  const { vocabSize } = model.info;
  const ids = Int32Array.from({ length: Number(prompt) }, (_, i) => (i * 7919 + 1) % vocabSize);
  const greedy = { temperature: 0, repetitionPenalty: 1, ignoreEos: true }; // whatever the model's defaults are
  await model.generate(ids.slice(0, 64), { ...greedy, maxTokens: 16 }).result(); // warm
  const first = performance.now();
  await model.generate([1], { ...greedy, maxTokens: 1 }).result();
  const firstTokenMs = performance.now() - first;
  const runs = [];
  for (let i = 0; i < 3; i++) {
    const { usage } = await model.generate(ids, { ...greedy, maxTokens: Number(tokens) + 1 }).result();
    runs.push({
      prefill: (1000 * usage.promptTokens) / usage.prefillMs,
      decode: (1000 * (usage.completionTokens - 1)) / usage.decodeMs,
    });
  }
  const middle = (of) => runs.map(of).sort((a, b) => a - b)[1];
  const { variant, threads: used } = model.info;
  await model.dispose();
  return {
    loadMs,
    firstTokenMs,
    prefill: middle((run) => run.prefill),
    decode: middle((run) => run.decode),
    variant,
    threads: used,
  };
}
