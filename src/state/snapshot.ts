import { EdgeError, requireArgument } from '../errors.ts';
import type { StateSpec } from '../ops/program.ts';
import type { Numerics } from '../types.ts';
import { f16ToF32, f32ToF16 } from '../weights/half.ts';
import { murmur128 } from '../weights/hash.ts';

/** A slot's state by name, in canonical order: dense states as declared, rings oldest row first. */
export type SlotState = Record<string, Float32Array>;

/** A conversation as a value. */
export interface Snapshot {
  position: number; // tokens consumed
  pending: number | null; // the token that is known and not yet consumed
  recent: readonly number[]; // ids that penalties look at, oldest first, the pending one included
  state: SlotState;
}

/** What a snapshot belongs to. */
export interface SnapshotModel {
  fingerprint: string; // of config and weights
  weights: string; // how they are quantized
  numerics: Numerics; // told, not compared: another backend has its own
  states: Readonly<Record<string, StateSpec>>;
  vocabSize: number;
}

export type SnapshotDtype = 'f32' | 'f16';

/**
 * The bytes of a snapshot:
 *   magic 'ESSMSNAP', u32 version, u32 length of the header
 *   header, JSON padded with spaces to a multiple of 8
 *   the states in the program's order, f32 or f16, little-endian
 *   16 bytes: MurmurHash3 of all before
 */
const MAGIC = 'ESSMSNAP';
const VERSION = 1;
const PREFIX_BYTES = 16;
const CHECKSUM_BYTES = 16;
const MAX_HEADER_BYTES = 4000;

interface Header {
  fingerprint: string;
  weights: string;
  numerics: string;
  layout: string; // hash of the states' names and shapes
  dtype: SnapshotDtype;
  position: number;
  pending: number | null;
  recent: number[];
}

/** @throws INVALID_ARGUMENT if a value of the state has no f16 */
export function encodeSnapshot(
  snapshot: Snapshot,
  model: SnapshotModel,
  dtype: SnapshotDtype = 'f32',
): Uint8Array<ArrayBuffer> {
  requireArgument(dtype === 'f32' || dtype === 'f16', `dtype must be f32 or f16, found ${String(dtype)}`);
  const { position, pending, recent, state } = snapshot;
  const { fingerprint, weights, numerics } = model;
  const fields: Header = {
    fingerprint,
    weights,
    numerics,
    layout: layoutHash(model),
    dtype,
    position,
    pending,
    recent: [...recent],
  };
  const header = padded(new TextEncoder().encode(JSON.stringify(fields)));
  const width = dtype === 'f32' ? 4 : 2;
  const names = Object.keys(model.states);
  const values = names.reduce((sum, name) => sum + state[name]!.length, 0);
  const bytes = new Uint8Array(PREFIX_BYTES + header.length + width * values + CHECKSUM_BYTES);
  bytes.set(new TextEncoder().encode(MAGIC));
  const view = new DataView(bytes.buffer);
  view.setUint32(8, VERSION, true);
  view.setUint32(12, header.length, true);
  bytes.set(header, PREFIX_BYTES);
  let at = PREFIX_BYTES + header.length;
  for (const name of names) {
    const stored = dtype === 'f32' ? state[name]! : halves(name, state[name]!);
    bytes.set(new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength), at);
    at += stored.byteLength;
  }
  bytes.set(checksum(bytes.subarray(0, at)), at);
  return bytes;
}

export interface DecodeOptions {
  /** Take the state of the same model with weights quantized otherwise. */
  allowQuantization?: boolean;
}

/**
 * @throws INVALID_FILE for what is no snapshot, or a damaged one; STATE_MISMATCH for one of another version, model or
 *   quantization
 */
export function decodeSnapshot(
  bytes: Uint8Array,
  model: SnapshotModel,
  { allowQuantization = false }: DecodeOptions = {},
): Snapshot {
  const header = readHeader(bytes);
  const differs = (what: string, found: string, expected: string, advice: string): never => {
    throw new EdgeError(
      'STATE_MISMATCH',
      `The snapshot is of ${what} ${found}, expected ${expected}: ${advice}`,
    );
  };
  if (header.fingerprint !== model.fingerprint)
    differs(
      'a model with fingerprint',
      header.fingerprint,
      model.fingerprint,
      'restore it with its own model',
    );
  if (header.layout !== layoutHash(model))
    differs(
      'a state of another layout',
      header.layout,
      layoutHash(model),
      'load the model with the same options',
    );
  if (header.weights !== model.weights && !allowQuantization)
    differs('weights of', header.weights, model.weights, 'load them so, or restore with allowQuantization');
  const { dtype, position, pending, recent } = header;
  checkMemory(header, model.vocabSize);
  return { position, pending, recent, state: readStates(bytes, model, dtype) };
}

/** The header of whole and undamaged bytes. */
function readHeader(bytes: Uint8Array): Header {
  const fault = (message: string) => new EdgeError('INVALID_FILE', `Snapshot: ${message}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < PREFIX_BYTES + CHECKSUM_BYTES || text(bytes.subarray(0, 8)) !== MAGIC)
    throw fault(`expected bytes that begin with ${MAGIC}, found ${bytes.length} bytes that don't`);
  const version = view.getUint32(8, true);
  if (version !== VERSION)
    throw new EdgeError('STATE_MISMATCH', `The snapshot has version ${version}, expected ${VERSION}`);
  const end = bytes.length - CHECKSUM_BYTES;
  const length = view.getUint32(12, true);
  if (length > MAX_HEADER_BYTES || PREFIX_BYTES + length > end)
    throw fault(`its header is said to take ${length} bytes of ${bytes.length}: it is damaged or cut off`);
  const sum = checksum(bytes.subarray(0, end));
  if (sum.some((byte, i) => byte !== bytes[end + i]))
    throw fault('its checksum does not match: it is damaged or cut off. Save it again');
  try {
    return JSON.parse(text(bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + length))) as Header;
  } catch (cause) {
    throw new EdgeError('INVALID_FILE', 'Snapshot: its header is no JSON', { cause });
  }
}

/** A checksum proves that bytes arrived whole, not that we wrote them. */
function checkMemory({ position, pending, recent, dtype }: Header, vocabSize: number): void {
  const isId = (id: unknown) => Number.isInteger(id) && (id as number) >= 0 && (id as number) < vocabSize;
  const fine =
    Number.isSafeInteger(position) &&
    position >= 0 &&
    (pending === null || isId(pending)) &&
    Array.isArray(recent) &&
    recent.every(isId) &&
    (dtype === 'f32' || dtype === 'f16');
  if (!fine) throw new EdgeError('INVALID_FILE', 'Snapshot: its header holds values that no session has');
}

function readStates(bytes: Uint8Array, { states }: SnapshotModel, dtype: SnapshotDtype): SlotState {
  const width = dtype === 'f32' ? 4 : 2;
  const end = bytes.length - CHECKSUM_BYTES;
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(12, true);
  let at = PREFIX_BYTES + length;
  const state: SlotState = {};
  for (const [name, { shape }] of Object.entries(states)) {
    const values = shape.reduce((product, n) => product * n, 1);
    const part = bytes.slice(at, at + width * values);
    if (at + width * values > end)
      throw new EdgeError('INVALID_FILE', `Snapshot: its states end at ${end}, before '${name}' does`);
    state[name] = dtype === 'f32' ? new Float32Array(part.buffer) : f16ToF32(new Uint16Array(part.buffer));
    at += width * values;
  }
  if (at !== end)
    throw new EdgeError('INVALID_FILE', `Snapshot: ${end - at} bytes more than its states take`);
  return state;
}

function halves(name: string, values: Float32Array): Uint16Array {
  const out = f32ToF16(values);
  for (const half of out)
    if ((half & 0x7c00) === 0x7c00)
      throw new EdgeError(
        'INVALID_ARGUMENT',
        `State '${name}' holds a value beyond what f16 can (65504): save it as f32`,
      );
  return out;
}

const layoutHash = ({ states }: SnapshotModel) =>
  murmur128(
    new TextEncoder().encode(JSON.stringify(Object.entries(states).map(([name, s]) => [name, s.shape]))),
  );

function checksum(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(murmur128(bytes).match(/../g)!, (pair) => Number.parseInt(pair, 16));
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function padded(header: Uint8Array): Uint8Array {
  const out = new Uint8Array((header.length + 7) & ~7).fill(32); // spaces
  out.set(header);
  return out;
}
