import type { GenerationDefaults, ModelInfo, Progress, Usage } from '../engine/types.ts';
import { errorIsTerminal, printError } from '../runtime/terminal.node.ts';

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = count;
  let unit = -1;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(value < 100 ? 1 : 0)} ${units[unit]}`;
}

export function count(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} B`;
  return value >= 1e5 ? `${(value / 1e6).toFixed(2)} M` : String(value);
}

/** How a model continues a text where no option says otherwise, in words of the options. */
export function generationDefaults({ temperature = 0, ...others }: GenerationDefaults): string {
  const named = Object.entries(others).map(
    ([name, value]) => `${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} ${value}`,
  );
  return [temperature === 0 ? 'greedy' : `temperature ${temperature}`, ...named].join(', ');
}

/** Tokens per second, with the first token counted to the prompt: both prefill and decode take one step for each. */
export function speeds({ promptTokens, completionTokens, prefillMs, decodeMs }: Usage) {
  const rate = (tokens: number, ms: number) => (tokens > 0 && ms > 0 ? (1000 * tokens) / ms : null);
  return { prefill: rate(promptTokens, prefillMs), decode: rate(completionTokens - 1, decodeMs) };
}

/** One line of figures, 80 characters at most: tokens read and written, how fast each, where, and a session's state. */
export function figures({ backend, threads, slotBytes }: ModelInfo, usage: Usage): string {
  const { prefill, decode } = speeds(usage);
  const short = (value: number) => (value < 1e4 ? String(Math.round(value)) : `${Math.round(value / 1e3)}k`);
  const rate = (value: number | null) => (value === null ? '–' : short(value));
  return [
    `${short(usage.promptTokens)} + ${short(usage.completionTokens)} tokens at ${rate(prefill)} + ${rate(decode)} tok/s`,
    backend === 'wasm' ? `wasm, ${threads} ${threads === 1 ? 'thread' : 'threads'}` : backend,
    `state ${bytes(slotBytes)}`,
  ].join(' | ');
}

/** A progress bar on standard error, if that is a terminal. */
export function progressBar(): { show(progress: Progress): void; clear(): void } {
  if (!errorIsTerminal()) return { show() {}, clear() {} };
  const WIDTH = 30;
  let shown = '';
  return {
    show({ stage, loaded, total, remainingMs }) {
      const part = total > 0 ? loaded / total : 0;
      const bar = '█'.repeat(Math.round(part * WIDTH)).padEnd(WIDTH, '░');
      const left = remainingMs ? `, ${Math.ceil(remainingMs / 1000)} s left` : '';
      const line = stage === 'open' ? 'opening …' : `${bar} ${bytes(loaded)} of ${bytes(total)}${left}`;
      if (line !== shown) printError(`\r\x1b[K${line}`);
      shown = line;
    },
    clear() {
      if (shown !== '') printError('\r\x1b[K');
      shown = '';
    },
  };
}
