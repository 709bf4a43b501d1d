import { inverseFrequencies, type RotaryCall } from '../../../ops/rotary.ts';
import type { StepContext } from '../context.ts';

export function rotary(call: RotaryCall, ctx: StepContext): void {
  const { x, heads, dims } = call;
  const inverse = inverseFrequencies(call); // [dims / 2]
  const headDim = x.width / heads;
  for (const { first, position, rows } of ctx.segments)
    for (let t = 0; t < rows; t++) {
      const row = ctx.row(x, first + t); // [heads · headDim]
      inverse.forEach((frequency, i) => {
        const angle = Math.fround(Math.fround(position + t) * frequency);
        for (let at = i; at < row.length; at += headDim) {
          const [a, b] = [row[at]!, row[at + dims / 2]!];
          row[at] = a * Math.cos(angle) - b * Math.sin(angle);
          row[at + dims / 2] = b * Math.cos(angle) + a * Math.sin(angle);
        }
      });
    }
}
