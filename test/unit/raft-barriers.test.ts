// A leader read whose barrier crosses a snapshot mark on raft.sock, with a Go half that the test plays: the mark tells of stored entries only, and a barrier is none.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { MIGRATIONS } from "../../src/features/index.ts";
import { RaftLog } from "../../src/log/engine/raft/raft-log.ts";
import { fleetOf } from "../../src/log/history.ts";
import { Store } from "../../src/store/store.ts";
import { within } from "../kit/eventually.ts";
import { applyContexts } from "../kit/raft.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const SERVER = "a".repeat(32);

function frame(type: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(payload.byteLength + 1, 0);
  head.writeUInt8(type, 4);
  return Buffer.concat([head, payload]);
}

const told = (type: number, value: object) => frame(type, Buffer.from(JSON.stringify(value)));

function numbers(...values: number[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  for (const [at, value] of values.entries()) bytes.writeBigUInt64BE(BigInt(value), 8 * at);
  return bytes;
}

/** A committed entry without commands. */
const barrierAt = (index: number) =>
  frame(17, Buffer.concat([Buffer.from([0, 0, 0, 1]), numbers(index, 1), Buffer.alloc(4)]));
const markAt = (index: number) =>
  frame(21, Buffer.concat([numbers(1), Buffer.from(JSON.stringify({ do: "mark", server: SERVER, index, term: 1 }))]));

test("a barrier is over once it is applied, though a mark comes between that and its answer", async () => {
  const folder = temporaryFolder();
  const store = Store.open({ folder: join(folder, "store"), migrations: MIGRATIONS, log: () => {} });
  const fatal: unknown[] = [];
  const log = new RaftLog({ store, apply: applyContexts, stampMs: Date.now, onFatal: (fault) => fatal.push(fault) });
  const socketPath = join(folder, "raft.sock");
  const half = Bun.listen({
    unix: socketPath,
    socket: {
      open: (socket) => void socket.write(told(16, { server: SERVER })),
      data: (socket, bytes) => {
        const sent = Buffer.from(bytes);
        for (let at = 0; at < sent.byteLength; at += 4 + sent.readUInt32BE(at)) {
          if (sent.readUInt8(at + 4) !== 2) continue;
          const ticket = Number(sent.readBigUInt64BE(at + 5));
          socket.write(Buffer.concat([barrierAt(50), markAt(45), frame(18, numbers(ticket, 50, 1))]));
        }
      },
    },
  });
  try {
    const { fleet, epoch } = fleetOf(store.reader);
    await log.start({ socketPath, fleet, epoch, signal: AbortSignal.timeout(5_000) });
    await within("the barrier", log.barrier(), 2_000);
    expect(fatal).toEqual([]);
  } finally {
    await log.close();
    half.stop(true);
    store.close();
  }
});
