import { expect, test } from 'vitest';
import { LAVAPIPE, SWIFTSHADER } from '../helpers/provided.ts';
import { dawnHost, REQUIRED } from './host.ts';

const EXPECTED: Record<string, { name: RegExp; subgroups: number; f16: boolean }> = {
  [SWIFTSHADER]: { name: /SwiftShader/, subgroups: 4, f16: false },
  [LAVAPIPE]: { name: /llvmpipe/, subgroups: 8, f16: true },
};

// What the suites on software GPUs cover depends on what these offer: not less unnoticed.
test('the software adapter is the one meant, with its subgroups', async (context) => {
  const gpu = await dawnHost().gpu();
  const adapter = typeof gpu === 'string' ? null : await gpu.requestAdapter();
  if (!adapter && !REQUIRED) context.skip(typeof gpu === 'string' ? gpu : 'no adapter');
  const expected = EXPECTED[process.env.VK_ICD_FILENAMES ?? ''];
  if (!expected) return context.skip('another driver than those of the tests');
  const { info, features } = adapter!;
  expect(info.description).toMatch(expected.name);
  expect(features.has('subgroups')).toBe(true);
  expect([info.subgroupMinSize, info.subgroupMaxSize]).toEqual([expected.subgroups, expected.subgroups]);
  expect(features.has('shader-f16')).toBe(expected.f16);
});
