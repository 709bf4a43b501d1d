import type { DecodeOptions, SnapshotDtype } from '../api/types/index.ts';
import { EdgeError } from '../errors.ts';
import { MAX_RECENT } from '../ops/sample.ts';
import type { BackendId, Numerics } from '../types.ts';
import { f16ToF32, f32ToF16 } from '../weights/half.ts';
import { Checksum, sameBytes } from './checksum.ts';
import type { ImageLayout, StateImage } from './image.ts';

/**
 * A snapshot, little-endian:
 *
 *      0  'edge-ssm', u32 version, u32 dtype (0 f32, 1 f16)
 *     16  f64 bytes of the image, f64 position
 *     32  i32 pending token (−1: none), u8 numerics, u8 backend, u16 number of recent ids
 *     40  fingerprint of the model, text [64], zeros after it
 *    104  weight formats, text [48]
 *    152  digest of the layout [16]
 *    168  recent ids, i32 [64], oldest first, zeros after them
 *    424  zeros, up to 496
 *    496  checksum of all that [16]
 *    512  the image: each state in order of name, padded with zeros to 16 bytes
 *     …   checksum of the header's checksum and the image [16]
 */
export const SNAPSHOT_VERSION = 1;
export const HEADER_BYTES = 512;
const MAGIC = 'edge-ssm';
const SUM = 16;
const NUMERICS: readonly Numerics[] = ['exact', 'i16', 'i8'];
const BACKENDS: readonly BackendId[] = ['reference', 'wasm', 'webgpu', 'metal'];

/** The model that a snapshot must fit. */
export interface SnapshotModel {
  fingerprint: string;
  weights: string; // formats of the loaded weights
  numerics: Numerics; // reported, not compared: another backend has its own
  backend: BackendId;
  layout: ImageLayout;
  vocabSize: number;
  maxContext: number;
}

/** A conversation, wherever it is kept. */
export interface Conversation {
  position: number;
  pending: number | null;
  recent: readonly number[]; // ≤ MAX_RECENT, pending one included
  image: StateImage;
}

/** Bytes of a snapshot. */
export function snapshotBytes(layout: ImageLayout, position: number, dtype: SnapshotDtype): number {
  return HEADER_BYTES + imageBytes(layout, position, dtype) + SUM;
}

/** @throws INVALID_ARGUMENT where f16 can't hold the state */
export function encodeSnapshot(
  model: SnapshotModel,
  conversation: Conversation,
  dtype: SnapshotDtype,
): Uint8Array<ArrayBuffer> {
  const { layout } = model;
  const { position, image } = conversation;
  const bytes = new Uint8Array(snapshotBytes(layout, position, dtype));
  const sum = writeHeader(bytes, model, conversation, dtype);
  let at = HEADER_BYTES;
  for (const values of image) {
    if (dtype === 'f32') new Float32Array(bytes.buffer, at, values.length).set(values);
    else new Uint16Array(bytes.buffer, at, values.length).set(halves(values));
    at += padded(values.length, dtype);
  }
  bytes.set(new Checksum(sum).update(bytes.subarray(HEADER_BYTES, at)).digest(), at);
  return bytes;
}

/**
 * Checks every byte, and that the snapshot belongs to the model.
 * @throws INVALID_FILE for damage, STATE_MISMATCH for what belongs elsewhere, CONTEXT_FULL
 */
export function decodeSnapshot(
  bytes: Uint8Array,
  model: SnapshotModel,
  { allowQuantization = false }: DecodeOptions = {},
): Conversation {
  const header = readHeader(bytes);
  requireMatch(header, model, allowQuantization);
  const { position, dtype } = header;
  const length = imageBytes(model.layout, position, dtype);
  if (header.imageBytes !== length || bytes.length !== HEADER_BYTES + length + SUM)
    throw damaged(
      `${bytes.length} bytes, of which ${header.imageBytes} are state; at position ${position} they are ` +
        `${HEADER_BYTES + length + SUM} and ${length}`,
    );
  const whole = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const end = HEADER_BYTES + length;
  const sum = new Checksum(whole.slice(HEADER_BYTES - SUM, HEADER_BYTES));
  if (!sameBytes(sum.update(whole.subarray(HEADER_BYTES, end)).digest(), whole.subarray(end)))
    throw damaged('the checksum of the state does not match');
  let at = whole.byteOffset + HEADER_BYTES;
  const image = model.layout.sizes(position).map((size) => {
    const begin = at;
    at += padded(size, dtype);
    if (dtype === 'f32') return new Float32Array(whole.buffer, begin, size).slice();
    return f16ToF32(new Uint16Array(whole.buffer, begin, size));
  });
  const { pending, recent } = header;
  return { position, pending, recent, image };
}

interface Header extends Omit<Conversation, 'image'> {
  dtype: SnapshotDtype;
  imageBytes: number;
  numerics: Numerics;
  backend: BackendId;
  fingerprint: string;
  weights: string;
  layout: Uint8Array; // [16]
}

function writeHeader(
  bytes: Uint8Array<ArrayBuffer>,
  model: SnapshotModel,
  { position, pending, recent }: Conversation,
  dtype: SnapshotDtype,
): Uint8Array {
  const view = new DataView(bytes.buffer);
  writeText(bytes, 0, 8, MAGIC);
  view.setUint32(8, SNAPSHOT_VERSION, true);
  view.setUint32(12, dtype === 'f16' ? 1 : 0, true);
  view.setFloat64(16, imageBytes(model.layout, position, dtype), true);
  view.setFloat64(24, position, true);
  view.setInt32(32, pending ?? -1, true);
  view.setUint8(36, NUMERICS.indexOf(model.numerics));
  view.setUint8(37, BACKENDS.indexOf(model.backend));
  view.setUint16(38, recent.length, true);
  writeText(bytes, 40, 64, model.fingerprint);
  writeText(bytes, 104, 48, model.weights);
  bytes.set(model.layout.digest(), 152);
  for (const [i, id] of recent.entries()) view.setInt32(168 + 4 * i, id, true);
  const sum = new Checksum().update(bytes.subarray(0, HEADER_BYTES - SUM)).digest();
  bytes.set(sum, HEADER_BYTES - SUM);
  return sum;
}

/** Its checksum holds, so that what it says is what was written. */
function readHeader(bytes: Uint8Array): Header {
  if (bytes.length < 16 || readText(bytes, 0, 8) !== MAGIC)
    throw new EdgeError('INVALID_FILE', 'These bytes are no snapshot, or its beginning is damaged');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_BYTES) throw damaged(`it ends within its header, after ${bytes.length} bytes`);
  const sum = new Checksum().update(bytes.subarray(0, HEADER_BYTES - SUM)).digest();
  const version = view.getUint32(8, true);
  if (version !== SNAPSHOT_VERSION)
    throw mismatch(
      `has version ${version}, this build reads version ${SNAPSHOT_VERSION}: use the build that wrote it ` +
        '(or another copy, if it is damaged)',
    );
  if (!sameBytes(sum, bytes.subarray(HEADER_BYTES - SUM, HEADER_BYTES)))
    throw damaged('the checksum of its header does not match');
  const pending = view.getInt32(32, true);
  const recent = Math.min(MAX_RECENT, view.getUint16(38, true));
  return {
    dtype: view.getUint32(12, true) === 1 ? 'f16' : 'f32',
    imageBytes: view.getFloat64(16, true),
    position: view.getFloat64(24, true),
    pending: pending < 0 ? null : pending,
    numerics: NUMERICS[view.getUint8(36)]!,
    backend: BACKENDS[view.getUint8(37)]!,
    recent: Array.from({ length: recent }, (_, i) => view.getInt32(168 + 4 * i, true)),
    fingerprint: readText(bytes, 40, 64),
    weights: readText(bytes, 104, 48),
    layout: bytes.slice(152, 168),
  };
}

function requireMatch(header: Header, model: SnapshotModel, allowQuantization: boolean): void {
  const { fingerprint, weights, vocabSize, maxContext } = model;
  const differs = (what: string, found: string, expected: string, advice: string): never => {
    throw mismatch(`is of ${what} ${found}, expected ${expected}: ${advice}`);
  };
  if (!sameBytes(header.layout, model.layout.digest()))
    throw mismatch('is of another architecture: its state has other shapes. Restore it with its own model');
  if (header.weights !== weights && !allowQuantization)
    differs('weights of', header.weights, weights, 'load them so, or restore with allowQuantization');
  if (header.fingerprint !== fingerprint && !allowQuantization)
    differs('a model with fingerprint', header.fingerprint, fingerprint, 'restore it with its own model');
  const odd = [header.pending ?? 0, ...header.recent].find((id) => !(id >= 0 && id < vocabSize));
  if (odd !== undefined) throw mismatch(`holds the token ${odd}, the vocabulary has ${vocabSize}`);
  if (!Number.isSafeInteger(header.position) || header.position < 0)
    throw damaged(`its position is ${header.position}`);
  if (header.position > maxContext)
    throw new EdgeError(
      'CONTEXT_FULL',
      `The snapshot is at position ${header.position}, beyond this model's maxContext of ${maxContext}: load the ` +
        'model with a larger one',
    );
}

function imageBytes(layout: ImageLayout, position: number, dtype: SnapshotDtype): number {
  return layout.sizes(position).reduce((sum, size) => sum + padded(size, dtype), 0);
}

function padded(values: number, dtype: SnapshotDtype): number {
  return 16 * Math.ceil((values * (dtype === 'f16' ? 2 : 4)) / 16);
}

function halves(values: Float32Array): Uint16Array {
  const converted = f32ToF16(values);
  if (converted.some((half, i) => (half & 0x7c00) === 0x7c00 && Number.isFinite(values[i]!)))
    throw new EdgeError(
      'INVALID_ARGUMENT',
      'The state holds values beyond the range of f16 (65,504): save it as f32',
    );
  return converted;
}

function writeText(bytes: Uint8Array, at: number, room: number, text: string): void {
  const encoded = new TextEncoder().encode(text);
  if (encoded.length > room) throw new EdgeError('INTERNAL', `'${text}' exceeds ${room} bytes`);
  bytes.set(encoded, at);
}

function readText(bytes: Uint8Array, at: number, room: number): string {
  const text = bytes.subarray(at, at + room);
  const end = text.indexOf(0);
  return new TextDecoder().decode(end < 0 ? text : text.subarray(0, end));
}

function damaged(how: string): EdgeError {
  return new EdgeError('INVALID_FILE', `The snapshot is damaged: ${how}. Restore another copy of it`);
}

function mismatch(how: string): EdgeError {
  return new EdgeError('STATE_MISMATCH', `The snapshot ${how}`);
}
