// Checks at each start that whatever carries a document is larger than the largest one, so that no node takes what
// another one cannot carry. The bounds derive from lib/bounds.ts; this finds one that was set by itself.

import {
  MAX_DOCUMENT_BYTES,
  MAX_DOCUMENT_INPUT_BYTES,
  MAX_FRAME_BYTES,
  MAX_IMPORT_LINE_BYTES,
  TRAVEL_GROWTH,
  TRAVEL_ROOM_BYTES,
} from "../lib/bounds.ts";
import { MAX_SOCKET_FRAME_BYTES } from "../log/engine/raft/index.ts";
import { MAX_COMMAND_BYTES } from "../log/entry.ts";
import { MAX_WAITING_BYTES } from "../log/waiting.ts";
import { MEMBER_BYTES } from "../peer/frame-body.ts";

/** A bound in bytes, and the least that it may be. */
export interface Bound {
  name: string;
  bytes: number;
  least: number;
}

/** Everything between a caller and the store through which a document must fit. */
export const BOUNDS: readonly Bound[] = [
  { name: "one command", bytes: MAX_COMMAND_BYTES, least: MAX_DOCUMENT_BYTES + TRAVEL_ROOM_BYTES },
  { name: "the commands that wait for the log", bytes: MAX_WAITING_BYTES, least: MAX_COMMAND_BYTES },
  { name: "a frame on raft.sock", bytes: MAX_SOCKET_FRAME_BYTES, least: MAX_COMMAND_BYTES + TRAVEL_ROOM_BYTES },
  {
    name: "a message between nodes",
    bytes: MAX_FRAME_BYTES,
    least: TRAVEL_GROWTH * MAX_DOCUMENT_BYTES + TRAVEL_ROOM_BYTES,
  },
  {
    name: "the input of an import",
    bytes: MAX_DOCUMENT_INPUT_BYTES,
    least: MAX_IMPORT_LINE_BYTES + TRAVEL_ROOM_BYTES,
  },
  { name: "the messages in flight of one member", bytes: MEMBER_BYTES.perKey, least: MAX_FRAME_BYTES },
  { name: "the messages in flight of all members", bytes: MEMBER_BYTES.total, least: 2 * MAX_FRAME_BYTES },
];

/** Throws where a bound is below what it must carry: an error of this build, not of its settings. */
export function checkBounds(bounds: readonly Bound[] = BOUNDS): void {
  for (const { name, bytes, least } of bounds)
    if (bytes < least)
      throw new Error(`this build is broken: ${name} may have ${bytes} bytes, and a document needs ${least}`);
}
