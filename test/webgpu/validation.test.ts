import { describe, expect, test } from 'vitest';
import { mamba2Program } from '../../bench/shapes.ts';
import { type WebgpuHost, webgpuBackend } from '../../src/backends/webgpu/index.ts';
import { shaders } from '../../src/backends/webgpu/shaders.ts';
import type { OpName } from '../../src/ops/index.ts';
import { formatName, formatsOf, quant } from '../helpers/tensors.ts';
import { cases } from '../ops/cases.ts';
import { skipUnavailable } from '../ops/parity.ts';
import { dawnHost, REQUIRED } from './host.ts';
import { changedAdapter, changedDevice } from './null_device.ts';
import { componentWrites } from './shared_writes.ts';

// Dawn's null backend has no driver: it checks every kernel, layout and binding, and runs nothing.
const MATRICES = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 };
const INFO = {
  description: 'null',
  subgroupMinSize: 32,
  subgroupMaxSize: 32,
  subgroupMatrixConfigs: [MATRICES],
};
const NULL = ['backend=null', 'enable-dawn-features=allow_unsafe_apis'];
/** Constants, and lengths of bindings: kernels that differ in nothing else write alike. */
const NUMBERS = /^const \w+ = [\d.e+-]+[uf];\n|(?<=^@group.*), \d+(?=>;)/gm;
const linked = new Map<string, string>(); // the code of every kernel, without its numbers → its entry point
/** Notes every kernel. */
const noted = (host: WebgpuHost) =>
  changedDevice(host, (device) => {
    const create = device.createShaderModule.bind(device);
    device.createShaderModule = (module) => {
      linked.set(module.code.replace(NUMBERS, ''), module.label!);
      return create(module);
    };
  });
const nullHost = noted(dawnHost(['backend=null']));
const withMatrices = noted(
  changedAdapter(dawnHost(NULL), (adapter) => Object.defineProperty(adapter, 'info', { value: INFO })),
);
const VARIANTS = {
  'with subgroups': [webgpuBackend(nullHost, { software: true, subgroups: 32 }), 'exact'],
  'without subgroups, default limits': [
    webgpuBackend(nullHost, { software: true, subgroups: 0, defaultLimits: true }),
    'exact',
  ],
  'with f16, without subgroups': [webgpuBackend(withMatrices, { software: true, subgroups: 0 }), 'i16'],
  'with f16': [webgpuBackend(withMatrices, { software: true, matrices: false }), 'i16'],
  'with subgroup matrices': [webgpuBackend(withMatrices, { software: true }), 'i16'],
} as const;

for (const [variant, [backend, numerics]] of Object.entries(VARIANTS))
  describe(`every kernel is valid, ${variant}`, () => {
    for (const op of Object.keys(cases) as OpName[])
      test(op, async (context) => {
        await skipUnavailable(backend, REQUIRED, context);
        const faults: string[] = [];
        for (const { name, program, formats } of cases[op])
          for (const format of formats) {
            const options = { slots: 3, numerics, threads: 1 } as const;
            await backend.create(program, formatsOf(program, format), options).then(
              async (executor) => {
                await executor.step({
                  ids: new Int32Array([0]),
                  segments: [{ slot: 0, position: 0, rows: 1 }],
                  outputs: [],
                });
                await executor.dispose();
              },
              (error: Error) => faults.push(`${name}, ${formatName(format)}: ${error.message}`),
            );
          }
        expect(faults).toEqual([]);
      });

    for (const width of [768, 1024, 2048])
      test(`blocks of a Mamba-2 of width ${width}`, async (context) => {
        await skipUnavailable(backend, REQUIRED, context);
        const program = mamba2Program(width, 3, 64);
        for (const format of [quant(4, 32), quant(8, 32)]) {
          const options = { slots: 3, numerics, threads: 1 } as const;
          const executor = await backend.create(program, formatsOf(program, format), options);
          await executor.dispose();
        }
      });
  });

// The last test: all others have run.
test('no kernel writes a component of a vector that threads share', async (context) => {
  await skipUnavailable(VARIANTS['with subgroups'][0], REQUIRED, context);
  expect(new Set(linked.values())).toEqual(new Set(Object.keys(shaders)));
  expect(
    [...linked].flatMap(([code, entry]) => componentWrites(code).map((write) => `${entry}: ${write}`)),
  ).toEqual([]);
});
