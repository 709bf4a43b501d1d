import { type TransferHandler, transferHandlers } from 'comlink';
import { EdgeError, type EdgeErrorCode, messageOf } from '../src/errors.ts';

/** An error as plain data. */
type WireError =
  | { kind: 'edge'; code: EdgeErrorCode; message: string; stack?: string; cause?: WireError }
  | { kind: 'error'; name: string; message: string; stack?: string; cause?: WireError }
  | { kind: 'value'; value: string | number | boolean | null };

const withStack = (stack: string | undefined) => (stack === undefined ? {} : { stack });

export function toWire(error: unknown, depth = 0): WireError {
  if (!(error instanceof Error)) {
    const plain = error === null || ['string', 'number', 'boolean'].includes(typeof error);
    return { kind: 'value', value: plain ? (error as string | number | boolean | null) : String(error) };
  }
  const deeper = error.cause !== undefined && depth < 8; // causes may form a ring
  const rest = {
    message: error.message,
    ...withStack(error.stack),
    ...(deeper ? { cause: toWire(error.cause, depth + 1) } : {}),
  };
  return error instanceof EdgeError
    ? { kind: 'edge', code: error.code, ...rest }
    : { kind: 'error', name: error.name, ...rest };
}

export function fromWire(wire: WireError): unknown {
  if (wire.kind === 'value') return wire.value;
  const options = wire.cause === undefined ? undefined : { cause: fromWire(wire.cause) };
  const error =
    wire.kind === 'edge'
      ? new EdgeError(wire.code, wire.message, options)
      : Object.assign(new Error(wire.message, options), { name: wire.name });
  if (wire.stack !== undefined) error.stack = wire.stack;
  return error;
}

/** Makes an INTERNAL error of anything that escapes from the engine without being an EdgeError: a defect of this library. */
export function asEdgeError(error: unknown): EdgeError {
  if (error instanceof EdgeError) return error;
  const message = messageOf(error);
  return new EdgeError('INTERNAL', `A defect of edge-ssm, please report it: ${message}`, { cause: error });
}

let installed = false;

/**
 * Makes Comlink carry EdgeErrors whole; it would keep only name, message and stack.
 * Anything else that is thrown goes the way it went before: the page may use Comlink for its own workers.
 */
export function installErrorTransfer(): void {
  if (installed) return;
  installed = true;
  const base = transferHandlers.get('throw') as TransferHandler<{ value: unknown }, unknown>;
  const handler: TransferHandler<{ value: unknown }, unknown> = {
    canHandle: base.canHandle,
    serialize: (thrown) =>
      thrown.value instanceof EdgeError ? [{ edge: toWire(thrown.value) }, []] : base.serialize(thrown),
    deserialize: (wire) => {
      if (typeof wire === 'object' && wire !== null && 'edge' in wire) throw fromWire(wire.edge as WireError);
      return base.deserialize(wire);
    },
  };
  transferHandlers.set('throw', handler);
}
