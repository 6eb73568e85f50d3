// The one way in which bytes of the log and of messages between nodes are packed: plain msgpack without extensions, so that every build reads what another wrote and no decoder makes more than plain values.

import { Packr } from "msgpackr";

/** A packer with the fixed options. They are part of the format of the log: never changed. */
export function plainPackr(): Packr {
  return new Packr({
    useRecords: false,
    moreTypes: false,
    structuredClone: false,
    encodeUndefinedAsNil: true,
    int64AsType: "number",
  });
}
