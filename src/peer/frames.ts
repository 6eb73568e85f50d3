// Frames between peers: one msgpack value in each body, with the same options as the log's entries. Guards against
// hostile bytes (size, depth, false lengths, extensions, text that is not UTF-8); each handler then checks the value
// by its own zod schema.

import { isUtf8 } from "node:buffer";
import { MAX_FRAME_BYTES } from "../lib/bounds.ts";
import { Fault } from "../lib/fault.ts";
import { plainPackr, withoutUndefined } from "../lib/plain-packr.ts";
import { reasonOf } from "../lib/reason-of.ts";

/** Frames are flat: documents and inputs travel as text inside. */
const MAX_FRAME_DEPTH = 8;
/** The media type of a frame; anything else is refused. */
export const FRAME_TYPE = "application/x-cairn-frame";

const packr = plainPackr();

/** Returns a value as bytes, without its undefined members. Throws Fault `too_large` above MAX_FRAME_BYTES. */
export function encodeFrame(value: unknown): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(packr.pack(withoutUndefined(value)));
  if (bytes.byteLength > MAX_FRAME_BYTES) {
    throw new Fault("too_large", `A message between nodes would have ${bytes.byteLength} bytes of ${MAX_FRAME_BYTES}`, {
      hint: "Send or ask for less at once.",
      details: { limit: MAX_FRAME_BYTES },
    });
  }
  return bytes;
}

/** Returns the value of a frame. Throws Fault `invalid_input` for bytes that are no frame, or nested too deep. */
export function decodeFrame(bytes: Uint8Array): unknown {
  if (bytes.byteLength > MAX_FRAME_BYTES) throw broken(`${bytes.byteLength} bytes`);
  walk(bytes);
  try {
    return packr.unpack(bytes);
  } catch (cause) {
    throw broken(reasonOf(cause));
  }
}

/**
 * Checks the head of every value before anything is built from it: nil, booleans, numbers, text, bytes, arrays and maps
 * with text keys are allowed. The value must be complete, with no bytes after it.
 */
function walk(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** Values that each open array or map still needs. */
  const open: { left: number; isMap: boolean }[] = [];
  let at = 0;
  for (;;) {
    const parent = open.at(-1);
    if (at >= bytes.byteLength) throw broken("it ends too early");
    const head = headAt(view, at);
    const end = at + head.bytes;
    if (parent?.isMap === true && parent.left % 2 === 0 && head.textAt === 0) throw broken("a key is no text");
    if (parent !== undefined) parent.left -= 1;
    if (end > bytes.byteLength) throw broken("it ends too early");
    if (head.textAt > 0 && !isUtf8(bytes.subarray(at + head.textAt, end))) throw broken("a text is not UTF-8");
    at = end;
    if (head.items > 0) {
      // Each item has at least one byte: a false length would allocate a huge array.
      if (head.items > bytes.byteLength - at) throw broken("it ends too early");
      if (open.length >= MAX_FRAME_DEPTH) throw broken(`it is nested deeper than ${MAX_FRAME_DEPTH}`);
      open.push({ left: head.items, isMap: head.isMap });
    }
    while (open.length > 0 && open.at(-1)?.left === 0) open.pop();
    if (open.length === 0) break;
  }
  if (at !== bytes.byteLength) throw broken("something stands behind it");
}

interface Head {
  /** Size of the head and, for text and bytes, of their content. */
  bytes: number;
  /** Number of values inside; of a map, keys and values. */
  items: number;
  isMap: boolean;
  /** Where the content of a text begins, after the head; 0 for every other value. */
  textAt: number;
}

const scalar = (bytes: number): Head => ({ bytes, items: 0, isMap: false, textAt: 0 });
const text = (textAt: number, length: number): Head => {
  return { bytes: textAt + length, items: 0, isMap: false, textAt };
};
const list = (bytes: number, items: number): Head => ({ bytes, items, isMap: false, textAt: 0 });
const map = (bytes: number, pairs: number): Head => {
  return { bytes, items: 2 * pairs, isMap: true, textAt: 0 };
};

/** Bytes of the numbers 0xca to 0xd3: floats, unsigned, signed. */
const NUMBER_BYTES = [5, 9, 2, 3, 5, 9, 2, 3, 5, 9];

function headAt(view: DataView, at: number): Head {
  const first = view.getUint8(at);
  if (first < 0x80 || first >= 0xe0) return scalar(1);
  if (first < 0x90) return map(1, first & 0x0f);
  if (first < 0xa0) return list(1, first & 0x0f);
  if (first < 0xc0) return text(1, first & 0x1f);
  if (first === 0xc0 || first === 0xc2 || first === 0xc3) return scalar(1);
  if (first >= 0xca && first <= 0xd3) return scalar(NUMBER_BYTES[first - 0xca] ?? 1);
  const length = (width: 1 | 2 | 4): number => {
    if (at + 1 + width > view.byteLength) throw broken("it ends too early");
    if (width === 1) return view.getUint8(at + 1);
    return width === 2 ? view.getUint16(at + 1) : view.getUint32(at + 1);
  };
  switch (first) {
    case 0xc4:
      return scalar(2 + length(1));
    case 0xc5:
      return scalar(3 + length(2));
    case 0xc6:
      return scalar(5 + length(4));
    case 0xd9:
      return text(2, length(1));
    case 0xda:
      return text(3, length(2));
    case 0xdb:
      return text(5, length(4));
    case 0xdc:
      return list(3, length(2));
    case 0xdd:
      return list(5, length(4));
    case 0xde:
      return map(3, length(2));
    case 0xdf:
      return map(5, length(4));
    default:
      // 0xc1 is never used; the rest are extensions, which no node sends.
      throw broken(`it holds the type 0x${first.toString(16)}`);
  }
}

function broken(reason: string): Fault {
  return new Fault("invalid_input", `The message of a peer cannot be read: ${reason}`, {
    hint: "Run the same version of cairn on all nodes of the fleet.",
  });
}
