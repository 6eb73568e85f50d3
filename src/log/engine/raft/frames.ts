// The bytes of raft.sock: u32 length, u8 type, payload, big endian (native/RAFT.md).

const RAFT_SOCKET_VERSION = 3;
/** Largest frame in bytes, as in native/raftlog/frames.go. */
export const MAX_SOCKET_FRAME_BYTES = 16 * 1024 * 1024;

/** The last raft entry in the store, and the server that wrote it ("" before the store was in a fleet). */
export interface AppliedState {
  index: number;
  term: number;
  server: string;
}

/** An entry that a majority holds, with its place in raft's log. */
export interface CommittedEntry {
  index: number;
  term: number;
  /** Empty for a barrier. */
  bytes: Uint8Array;
}

/** What the Go half asks of the store. */
export type StoreAsk =
  | { do: "mark"; server: string; index: number; term: number }
  | { do: "copy"; path: string }
  | { do: "install"; server: string; path: string; index: number; term: number };

/** The leadership as the Go half reports it. */
interface LeadershipFrame {
  leading: boolean;
  /** Server id of the leader, "" while none is known. */
  leader: string;
  term: number;
}

/**
 * `replaced` may follow an `unknown`: another entry has taken its place in the log, so it is not written and never will
 * be.
 */
export type RefusedReason = "not_leader" | "busy" | "unknown" | "replaced";

/** Frames from the Go half. */
export type RaftFrame =
  | { type: "welcome"; server: string }
  /** `previous` is the entry before the first one; the store must hold it. */
  | { type: "committed"; previous: number; entries: CommittedEntry[] }
  | { type: "proposed"; ticket: number; index: number; term: number }
  | { type: "refused"; ticket: number; reason: RefusedReason }
  | ({ type: "leadership" } & LeadershipFrame)
  | { type: "ask"; request: number; ask: StoreAsk }
  | { type: "fatal"; code: string; message: string }
  /** The answer to an erase frame; `reason` is "" where it is done. */
  | { type: "erased"; index: number; reason: string };

const REASONS: Readonly<Record<number, RefusedReason>> = { 1: "not_leader", 2: "busy", 3: "unknown", 4: "replaced" };

/** Returns the first frame of this side. */
export function helloFrame(applied: AppliedState): Uint8Array {
  const head = Buffer.alloc(18);
  head.writeUInt16BE(RAFT_SOCKET_VERSION, 0);
  head.writeBigUInt64BE(BigInt(applied.index), 2);
  head.writeBigUInt64BE(BigInt(applied.term), 10);
  return frame(1, head, Buffer.from(applied.server));
}

/** Returns the frame that proposes an entry; an empty one is a barrier. */
export function proposeFrame(ticket: number, entry: Uint8Array): Uint8Array {
  return frame(2, u64(ticket), entry);
}

/** Returns the frame that says that everything up to an entry is in the store. */
export function appliedFrame(index: number): Uint8Array {
  return frame(3, u64(index));
}

/** Returns the frame that answers an ask. */
export function answerFrame(request: number, answer: { ok: object } | { error: string }): Uint8Array {
  return frame(4, u64(request), Buffer.from(JSON.stringify(answer)));
}

/**
 * Returns the frame that says that the event loop turns. `successor` is the voter to hand the leadership to where this
 * node cannot take writes, "" where it may lead.
 */
export function aliveFrame(successor: string): Uint8Array {
  return frame(5, Buffer.from(successor));
}

/** Returns the frame that asks that no file of the log holds an entry up to `index` any more. */
export function eraseFrame(index: number): Uint8Array {
  return frame(6, u64(index));
}

function frame(type: number, ...payload: Uint8Array[]): Uint8Array {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(1 + payload.reduce((sum, part) => sum + part.byteLength, 0), 0);
  head.writeUInt8(type, 4);
  return Buffer.concat([head, ...payload]);
}

function u64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value), 0);
  return bytes;
}

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  #parts: Uint8Array[] = [];
  #held = 0;
  #wanted = 5;

  /** Returns the frames that these bytes complete. Throws an Error where the bytes cannot be a frame. */
  push(bytes: Uint8Array): RaftFrame[] {
    this.#parts.push(bytes);
    this.#held += bytes.byteLength;
    if (this.#held < this.#wanted) return [];
    const all = Buffer.concat(this.#parts);
    const frames: RaftFrame[] = [];
    let at = 0;
    this.#wanted = 5;
    while (all.byteLength - at >= 5) {
      const length = all.readUInt32BE(at);
      if (length < 1 || length > MAX_SOCKET_FRAME_BYTES) throw new Error(`a frame of ${length} bytes on raft.sock`);
      this.#wanted = 4 + length;
      if (all.byteLength - at < this.#wanted) break;
      frames.push(decodeFrame(all.readUInt8(at + 4), all.subarray(at + 5, at + 4 + length)));
      at += 4 + length;
      this.#wanted = 5;
    }
    this.#parts = [all.subarray(at)];
    this.#held = all.byteLength - at;
    return frames;
  }
}

function decodeFrame(type: number, payload: Buffer): RaftFrame {
  const number = (at: number) => Number(payload.readBigUInt64BE(at));
  switch (type) {
    case 16:
      return { ...JSON.parse(payload.toString("utf8")), type: "welcome" };
    case 17:
      return { type: "committed", previous: number(0), entries: committedEntries(payload) };
    case 18:
      return { type: "proposed", ticket: number(0), index: number(8), term: number(16) };
    case 19:
      return { type: "refused", ticket: number(0), reason: REASONS[payload.readUInt8(8)] ?? "unknown" };
    case 20:
      return { ...JSON.parse(payload.toString("utf8")), type: "leadership" };
    case 21:
      return { type: "ask", request: number(0), ask: JSON.parse(payload.toString("utf8", 8)) };
    case 22:
      return { ...JSON.parse(payload.toString("utf8")), type: "fatal" };
    case 23:
      return { type: "erased", index: number(0), reason: payload.toString("utf8", 8) };
    default:
      throw new Error(`a frame of type ${type} on raft.sock`);
  }
}

function committedEntries(payload: Buffer): CommittedEntry[] {
  const entries: CommittedEntry[] = [];
  let at = 12;
  for (let left = payload.readUInt32BE(8); left > 0; left--) {
    const length = payload.readUInt32BE(at + 16);
    const bytes = payload.subarray(at + 20, at + 20 + length);
    if (bytes.byteLength !== length) throw new Error("a committed entry that ends before its length");
    entries.push({
      index: Number(payload.readBigUInt64BE(at)),
      term: Number(payload.readBigUInt64BE(at + 8)),
      bytes,
    });
    at += 20 + length;
  }
  return entries;
}
