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
