// Written by `npm run ops`.
import { activation } from './activation.ts';
import { conv1d } from './conv1d.ts';
import { embed } from './embed.ts';
import { gate_norm } from './gate_norm.ts';
import { linear_residual } from './linear_residual.ts';
import { logits } from './logits.ts';
import { norm_linear } from './norm_linear.ts';
import { rotary } from './rotary.ts';
import { sample } from './sample.ts';
import { ssd_scan } from './ssd_scan.ts';
import { window_attention } from './window_attention.ts';

/** Every op that a program may call, under the name that every backend uses. */
export const ops = {
  embed,
  norm_linear,
  conv1d,
  ssd_scan,
  gate_norm,
  linear_residual,
  activation,
  rotary,
  window_attention,
  logits,
  sample,
} as const;
