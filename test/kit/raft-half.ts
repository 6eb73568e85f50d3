// A Go half that a test plays: it welcomes the log that connects, hands the frames of that log on, and sends what the
// test makes.

import { join } from "node:path";
import { MIGRATIONS } from "../../src/features/index.ts";
import { RaftLog, type RaftOptions } from "../../src/log/engine/raft/raft-log.ts";
import { fleetOf } from "../../src/log/history.ts";
import { Store } from "../../src/store/store.ts";
import { applyContexts } from "./raft.ts";
import { temporaryFolder } from "./temporary.ts";

export const SERVER = "a".repeat(32);

export interface SentFrame {
  type: number;
  payload: Buffer;
}

export function frame(type: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(payload.byteLength + 1, 0);
  head.writeUInt8(type, 4);
  return Buffer.concat([head, payload]);
}

export const jsonFrame = (type: number, value: object) => frame(type, Buffer.from(JSON.stringify(value)));

export function numbers(...values: number[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  for (const [at, value] of values.entries()) bytes.writeBigUInt64BE(BigInt(value), 8 * at);
  return bytes;
}

/** A committed entry without commands. */
export const barrierAt = (index: number, previous = 0) => entryAt(index, new Uint8Array(), previous);

/** A committed entry with these bytes, after the entry `previous`. */
export function entryAt(index: number, bytes: Uint8Array, previous = 0): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.byteLength);
  return frame(17, Buffer.concat([numbers(previous), Buffer.from([0, 0, 0, 1]), numbers(index, 1), length, bytes]));
}

/** Something that the store is asked, as request 1. */
export const askFrame = (ask: object) => frame(21, Buffer.concat([numbers(1), Buffer.from(JSON.stringify(ask))]));

/** A log over a new store and such a half. */
export interface PlayedHalf extends AsyncDisposable {
  log: RaftLog;
  store: Store;
  folder: string;
  fatal: unknown[];
  /** Every frame that came after the hello. */
  sent: SentFrame[];
  /** Reports whether the log has closed the connection, upon which the real half hands over. */
  closed: () => boolean;
  send: (bytes: Buffer) => void;
}

export async function playRaftHalf(
  onFrame: (sent: SentFrame, send: (bytes: Buffer) => void) => void = () => {},
  options: Partial<RaftOptions> = {},
): Promise<PlayedHalf> {
  const folder = temporaryFolder();
  const store = Store.open({ folder: join(folder, "store"), migrations: MIGRATIONS, log: () => {} });
  const fatal: unknown[] = [];
  const sent: SentFrame[] = [];
  const log = new RaftLog({
    store,
    apply: applyContexts,
    stampMs: Date.now,
    onFatal: (fault) => fatal.push(fault),
    ...options,
  });
  const socketPath = join(folder, "raft.sock");
  let send: (bytes: Buffer) => void = () => {};
  let closed = false;
  const half = Bun.listen({
    unix: socketPath,
    socket: {
      open: (socket) => {
        send = (bytes) => void socket.write(bytes);
        send(jsonFrame(16, { server: SERVER }));
      },
      close: () => {
        closed = true;
      },
      data: (_socket, bytes) => {
        const all = Buffer.from(bytes);
        for (let at = 0; at < all.byteLength; at += 4 + all.readUInt32BE(at)) {
          const one = { type: all.readUInt8(at + 4), payload: all.subarray(at + 5, at + 4 + all.readUInt32BE(at)) };
          if (one.type === 1) continue;
          sent.push(one);
          onFrame(one, send);
        }
      },
    },
  });
  const { fleet, epoch } = fleetOf(store.reader);
  await log.start({ socketPath, fleet, epoch, signal: AbortSignal.timeout(5_000) });
  return {
    log,
    store,
    folder,
    fatal,
    sent,
    closed: () => closed,
    send: (bytes) => send(bytes),
    [Symbol.asyncDispose]: async () => {
      await log.close();
      half.stop(true);
      store.close();
    },
  };
}
