import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildNode } from './build.mjs';

/** Workers are files: tests that start one need dist/node. What tests fetch does not go to the user's cache. */
export default async function setup() {
  const cache = mkdtempSync(join(tmpdir(), 'edge-ssm-cache-'));
  process.env.EDGE_SSM_CACHE = cache;
  await buildNode();
  return () => rmSync(cache, { recursive: true, force: true });
}
