import { buildNode } from './build.mjs';

/** Workers are files: tests that start one need dist/node. */
export default async function setup(): Promise<void> {
  await buildNode().catch((error) => console.warn(`dist/node could not be built: ${error.message}`));
}
