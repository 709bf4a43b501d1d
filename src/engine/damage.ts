import type { Tensor } from '../types.ts';

/** Remembers the first weight with a NaN or an infinity among those that pass by on their way to a device. */
export class DamageWatch {
  private found: string | null = null;

  /** `known`: what the device found, if it looked. */
  look(name: string, row: number, tensor: Tensor, known?: boolean): void {
    if (this.found !== null) return;
    if (known ?? holdsDamage(tensor))
      this.found = `the weight '${name}' holds NaN or infinity within its rows ${row} to ${row + tensor.rows - 1}`;
  }

  report(): string | null {
    return this.found;
  }
}

function holdsDamage(tensor: Tensor): boolean {
  const values = 'q' in tensor ? [tensor.scale, tensor.bias] : [tensor.data];
  return values.some((list) => list !== null && isDamaged(list));
}

/** Values as f32, or f16 bits whose exponent is all ones where they are not finite. */
function isDamaged(values: Float32Array | Uint16Array): boolean {
  if (values instanceof Uint16Array) {
    for (let i = 0; i < values.length; i++) if ((values[i]! & 0x7c00) === 0x7c00) return true;
    return false;
  }
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i]!)) return true;
  return false;
}
