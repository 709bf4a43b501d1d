import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { CHROMIUM } from '../helpers/provided.ts';
import { CHROMIUM_FLAGS } from './chromium.ts';

/** A tab of a browser whose tabs hide each other, as a user's do: Playwright shows all of them. */
export interface Tab {
  /** The value of an expression; a promise is waited for. */
  evaluate<T>(expression: string): Promise<T>;
  /** Resolves once an expression is true. */
  until(condition: string): Promise<void>;
  /** In front of the other tabs. */
  activate(): Promise<void>;
  /** What a browser does to hidden tabs to save power. */
  freeze(frozen: boolean): Promise<void>;
}

interface Answer {
  id?: number;
  result: Record<string, unknown>;
  error?: { message: string };
}

/** Chromium by the DevTools protocol, through pipes. */
export function launchTabs(): { open(url: string): Promise<Tab>; close(): Promise<void> } {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-chromium-'));
  const flags = [...CHROMIUM_FLAGS, '--headless', `--user-data-dir=${folder}`, '--remote-debugging-pipe'];
  const browser = spawn(CHROMIUM, flags, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const [, , , commands, answers] = browser.stdio as unknown as [null, null, null, Writable, Readable];
  const waiting = new Map<number, (answer: Answer) => void>();
  let received = '';
  answers.setEncoding('utf8').on('data', (text: string) => {
    const messages = (received + text).split('\0');
    received = messages.pop()!;
    for (const message of messages) {
      const answer = JSON.parse(message) as Answer;
      if (answer.id !== undefined) waiting.get(answer.id)?.(answer);
    }
  });
  const send = (method: string, params: object, sessionId?: unknown) =>
    new Promise<Record<string, unknown>>((resolve, reject) => {
      const id = waiting.size + 1;
      waiting.set(id, ({ result, error }) =>
        error ? reject(new Error(`${method}: ${error.message}`)) : resolve(result),
      );
      commands.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  return {
    async open(url) {
      const { targetId } = await send('Target.createTarget', { url });
      const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
      const evaluate = async <T>(expression: string) => {
        const options = { expression, awaitPromise: true, returnByValue: true };
        const { result, exceptionDetails } = await send('Runtime.evaluate', options, sessionId);
        if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
        return (result as { value: T }).value;
      };
      return {
        evaluate,
        async until(condition) {
          const holds = () => evaluate<boolean>(`Boolean(${condition})`).catch(() => false); // not while a page loads
          while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
        },
        activate: async () => void (await send('Target.activateTarget', { targetId })),
        freeze: async (frozen) =>
          void (await send('Page.setWebLifecycleState', { state: frozen ? 'frozen' : 'active' }, sessionId)),
      };
    },
    async close() {
      const ended = new Promise((resolve) => browser.once('close', resolve));
      browser.kill();
      await ended;
      // Its helpers may write there yet. Unlike rmSync, this looks anew at every try.
      await rm(folder, { recursive: true, force: true, maxRetries: 20 });
    },
  };
}
