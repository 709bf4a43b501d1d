import { describe, expect, test } from 'vitest';
import type { OpName } from '../../src/ops/index.ts';
import { F32, formatName } from '../helpers/tensors.ts';
import { cases } from '../ops/cases.ts';
import { skipUnavailable } from '../ops/parity.ts';
import { dawn, REQUIRED } from './host.ts';

// Dawn's null backend has no driver: it checks every kernel, layout and binding, and runs nothing.
for (const subgroups of [32, 0])
  describe(`every kernel is valid, ${subgroups ? 'with subgroups' : 'without subgroups, default limits'}`, () => {
    const backend = dawn({ subgroups, defaultLimits: subgroups === 0 }, ['backend=null']);
    for (const op of Object.keys(cases) as OpName[])
      test(op, async (context) => {
        await skipUnavailable(backend, REQUIRED, context);
        const faults: string[] = [];
        for (const { name, program, formats } of cases[op])
          for (const format of formats) {
            const all = Object.entries(program.weights).map(([weight, { role }]) => [
              weight,
              role === 'linear' ? format : F32,
            ]);
            const options = { slots: 3, numerics: 'exact', threads: 1 } as const;
            await backend.create(program, Object.fromEntries(all), options).then(
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
  });
