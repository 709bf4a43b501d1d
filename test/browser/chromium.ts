import { type Browser, chromium } from 'playwright-core';
import { CHROMIUM } from '../helpers/provided.ts';

/** Without the background switches, Chromium looks for hosts that a closed network refuses. */
export const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--enable-unsafe-webgpu', // on a software adapter
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_FLAGS });
}
