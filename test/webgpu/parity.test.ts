import { runParity } from '../ops/parity.ts';
import { dawn } from './host.ts';

for (const subgroups of [true, false])
  runParity(dawn({ subgroups, defaultLimits: !subgroups }), {
    label: `webgpu, ${subgroups ? 'subgroups' : 'no subgroups, default limits'}`,
    numerics: ['exact'],
  });
