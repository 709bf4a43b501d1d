import { buildNode } from './build.mjs';

/** Workers are files: tests that start one need dist/node. */
export default async function setup() {
  await buildNode();
}
