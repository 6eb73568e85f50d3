// Packs the bytes of the log and of messages between nodes: plain msgpack without extensions, so that every build reads
// what another wrote, and decoding makes plain values only.

import { Packr } from "msgpackr";

/** Returns a packer with the fixed options. They are part of the format of the log and never change. */
export function plainPackr(): Packr {
  return new Packr({
    useRecords: false,
    moreTypes: false,
    structuredClone: false,
    encodeUndefinedAsNil: true,
    int64AsType: "number",
  });
}

/**
 * Returns a value without the members of its objects that are undefined: packed they would be nil, and who reads them
 * asks whether they are there. A value that has none is returned itself, so its bytes are what they always were.
 */
export function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(withoutUndefined);
    return items.every((item, at) => item === value[at]) ? value : items;
  }
  if (!isPlain(value)) return value;
  let isSame = true;
  const kept: [string, unknown][] = [];
  for (const name of Object.keys(value)) {
    const member = withoutUndefined(value[name]);
    if (member !== value[name] || member === undefined) isSame = false;
    if (member !== undefined) kept.push([name, member]);
  }
  return isSame ? value : Object.fromEntries(kept);
}

/** Bytes and the like are packed as they are. */
function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
