import type { Meter } from './limits.ts';
import { methodOf } from './methods.ts';
import { itemsOf, keyOf, Namespace, numberOf, Tuple, Undefined, type Value } from './values.ts';

/** `object.name`: an attribute, else an item. */
export function memberOf(object: Value, name: string, meter: Meter): Value {
  if (object instanceof Undefined) throw undefinedError(object);
  if (object instanceof Namespace)
    return object.fields.has(name) ? object.fields.get(name)! : new Undefined(name);
  const method = methodOf(object, name, meter);
  if (method) return method;
  return object instanceof Map && object.has(name) ? object.get(name)! : new Undefined(name);
}

/** `object[key]`: an item, else an attribute. */
export function itemOf(object: Value, key: Value, meter: Meter): Value {
  if (object instanceof Undefined) throw undefinedError(object);
  if (object instanceof Map) {
    const known = keyOf(key);
    if (object.has(known)) return object.get(known)!;
  }
  const index = numberOf(key);
  const sequence = typeof object === 'string' || Array.isArray(object) || object instanceof Tuple;
  if (sequence && index !== null) {
    const item = itemsOf(object).at(index);
    return item === undefined ? new Undefined(String(index)) : item;
  }
  return typeof key === 'string' ? memberOf(object, key, meter) : new Undefined(String(index));
}

export function undefinedError({ name }: Undefined): Error {
  return new Error(`'${name}' is undefined`);
}
