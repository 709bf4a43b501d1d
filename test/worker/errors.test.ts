import { describe, expect, test } from 'vitest';
import { EdgeError } from '../../src/errors.ts';
import { asEdgeError, fromWire, toWire } from '../../workers/errors.ts';

const crossed = (error: unknown) => fromWire(structuredClone(toWire(error)));

describe('errors across the boundary', () => {
  test('keep class, code, message, stack and causes', () => {
    const root = Object.assign(new Error('no such file'), { name: 'SystemError' });
    const middle = new EdgeError('NETWORK', 'the transfer failed', { cause: root });
    const found = crossed(new EdgeError('INVALID_FILE', 'damaged', { cause: middle })) as EdgeError;
    expect(found).toBeInstanceOf(EdgeError);
    expect(found).toMatchObject({ name: 'EdgeError', code: 'INVALID_FILE', message: 'damaged' });
    expect(found.stack).toContain('errors.test');
    const cause = found.cause as EdgeError;
    expect(cause).toBeInstanceOf(EdgeError);
    expect(cause.code).toBe('NETWORK');
    expect(cause.cause).toMatchObject({ name: 'SystemError', message: 'no such file' });
    expect(cause.cause).not.toBeInstanceOf(EdgeError);
  });

  test('no cause stays no cause, and nothing unconsumed nothing', () => {
    const found = crossed(new EdgeError('BUSY', 'busy')) as EdgeError;
    expect('cause' in found).toBe(false);
    expect('unconsumed' in found).toBe(false);
  });

  test.each([
    [undefined, 'undefined'],
    [null, null],
    ['a reason', 'a reason'],
    [7, 7],
    [Symbol('s'), 'Symbol(s)'],
    [() => 1, '() => 1'],
  ])('a cause that is no error: %s', (value, expected) => {
    const wire = toWire(value);
    expect(fromWire(structuredClone(wire))).toBe(expected);
  });

  test('rings of causes end', () => {
    const a = new EdgeError('INTERNAL', 'a') as EdgeError & { cause?: unknown };
    const b = new Error('b', { cause: a });
    Object.defineProperty(a, 'cause', { value: b });
    let depth = 0;
    for (let e = crossed(a) as Error | undefined; e; e = e.cause as Error | undefined) depth++;
    expect(depth).toBe(9);
  });

  test('what is not ours is a defect, with the original as cause', () => {
    const original = new TypeError('x is not a function');
    const found = asEdgeError(original);
    expect(found.code).toBe('INTERNAL');
    expect(found.message).toContain('x is not a function');
    expect(found.cause).toBe(original);
    const ours = new EdgeError('BUSY', 'busy');
    expect(asEdgeError(ours)).toBe(ours);
  });
});
