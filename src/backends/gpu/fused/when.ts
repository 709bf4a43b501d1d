import type { Launch, StepShape } from '../launch.ts';

type When = (shape: StepShape) => boolean;
export const oneRow: When = ({ rows }) => rows === 1;
export const rowASlot: When = ({ single }) => single;
export const rowInSlots: When = ({ single, rows }) => single && rows > 1;
export const not = (when: When) => (shape: StepShape) => !when(shape);

/** Launches that are only in some steps. */
export const only = (when: When, launches: readonly Launch[]): Launch[] =>
  launches.map((launch) => ({
    ...launch,
    workgroups: (shape) => (when(shape) ? launch.workgroups(shape) : null),
  }));
