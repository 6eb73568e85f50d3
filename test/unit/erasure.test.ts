// When a member erases what a purge removed: after the purge and after an install, once other members allow it, and
// again until it is done. The Go half is played by the test.

import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { join } from "node:path";
import { contextOperations } from "../../src/features/context/index.ts";
import { MIGRATIONS } from "../../src/features/index.ts";
import type { RaftOptions } from "../../src/log/engine/raft/raft-log.ts";
import { encodeEntry, packCommand } from "../../src/log/entry.ts";
import { erasePurged } from "../../src/log/erase-purged.ts";
import { openHistory } from "../../src/log/history.ts";
import { KNOWN_LEVEL } from "../../src/log/level.ts";
import type { Command } from "../../src/log/log.ts";
import { notePurge, purgeState } from "../../src/log/purge-state.ts";
import { Store } from "../../src/store/store.ts";
import { eventually } from "../kit/eventually.ts";
import { DEFAULT_WRITE_LIMITS } from "../kit/limits.ts";
import { putCommand } from "../kit/raft.ts";
import { askFrame, entryAt, frame, numbers, playRaftHalf, SERVER } from "../kit/raft-half.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const ERASE = 6;
const ERASED = 23;

function entry(index: number, command: Command): Buffer {
  const header = { level: KNOWN_LEVEL, origin: "0".repeat(32), ticket: index, stampMs: 1_800_000_000_000 };
  return entryAt(index, encodeEntry(header, [packCommand(command)]), index - 1);
}

function purge(index: number, id: string): Buffer {
  const operation = contextOperations.find(({ name }) => name === "context_purge");
  if (operation?.kind !== "write") throw new Error("no operation context_purge");
  const { name, v } = operation;
  const input = operation.prepare(operation.input.parse({ id }), DEFAULT_WRITE_LIMITS);
  return entry(index, { name, v, input, caller: "user:a", via: "", key: "" });
}

/** A half that answers erase frames with these reasons, one after the other, and then with "". */
async function play(reasons: string[], options: Partial<RaftOptions> = {}) {
  const asked: number[] = [];
  const half = await playRaftHalf(({ type, payload }, send) => {
    if (type !== ERASE) return;
    const index = Number(payload.readBigUInt64BE(0));
    asked.push(index);
    send(frame(ERASED, Buffer.concat([numbers(index), Buffer.from(reasons.shift() ?? "")])));
  }, options);
  return { half, asked };
}

const erased = ({ store }: { store: Store }, purged: number) =>
  eventually("the erasure", () => purgeState(store.reader).erased === purged, {
    seen: () => JSON.stringify(purgeState(store.reader)),
  });

test("a purge is erased once it may be, again after a failure that is reported once, and no earlier one with it", async () => {
  const delays: string[] = [];
  let mayErase = false;
  const judged: number[] = [];
  const { half, asked } = await play(["busy", "busy"], {
    mayErase: (index) => {
      judged.push(index);
      return mayErase;
    },
    onErasureDelay: (reason) => delays.push(reason),
  });
  await using _half = half;
  half.send(entry(1, putCommand("a/x", "secret")));
  half.send(entry(2, putCommand("a/y", "secret")));
  await eventually("the writes", () => half.log.position().seq === 2);
  await Bun.sleep(600);
  // Nothing was purged, so nothing is judged.
  expect(judged).toEqual([]);
  half.send(purge(3, "a/x"));
  await eventually("a second question", () => judged.length >= 2);
  expect([judged[0], asked]).toEqual([3, []]);
  mayErase = true;
  await erased(half, 3);
  expect([asked, delays]).toEqual([[3, 3, 3], ["busy"]]);
  half.send(purge(4, "a/y"));
  await erased(half, 4);
  expect(asked.slice(3)).toEqual([4]);
});

test("what an earlier process left to do is done after the start", async () => {
  const store = Store.open({ folder: join(temporaryFolder(), "store"), migrations: MIGRATIONS, log: () => {} });
  openHistory(store);
  store.transaction((tx) => notePurge(tx, 7, 9));
  const { half, asked } = await play([], { store });
  await erased({ store }, 7);
  expect(asked).toEqual([9]);
  await half[Symbol.asyncDispose]();
  store.close();
});

test("the purges of a copy are erased from what this member had", async () => {
  const { half, asked } = await play([]);
  await using _half = half;
  const path = join(half.folder, "copy.db");
  await half.store.copyTo(path);
  const copy = new Database(path);
  copy.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('purged_seq', 5), ('applied_index', 9)");
  copy.close();
  half.send(askFrame({ do: "install", server: SERVER, path, index: 9, term: 1 }));
  await erased(half, 5);
  expect(asked).toEqual([9]);
});

test("a purge that came while an earlier one was erased is still to do", async () => {
  const store = Store.open({ folder: temporaryFolder(), migrations: MIGRATIONS, log: () => {} });
  store.transaction((tx) => notePurge(tx, 5, 1));
  const meanwhile = async () => {
    store.transaction((tx) => notePurge(tx, 9, 2));
    return "";
  };
  expect(await erasePurged(store, meanwhile)).toBe("");
  expect(purgeState(store.reader)).toEqual({ purged: 9, erased: 5 });
  expect(await erasePurged(store)).toBe("");
  expect(purgeState(store.reader)).toEqual({ purged: 9, erased: 9 });
  store.close();
});
