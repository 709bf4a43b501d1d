/** The words of the public API: options, results, facts. Nothing here runs; every part may use them. */

export type * from './abortable.ts';
export type * from './device.ts';
export type * from './generate.ts';
export type * from './info.ts';
export type * from './load.ts';
export type * from './prompt.ts';
export type * from './session.ts';
