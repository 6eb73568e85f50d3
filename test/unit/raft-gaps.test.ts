// Entries that come without those before them, and asks of the Go half that fail: what ends the member, and what it
// goes on after.

import { expect, test } from "bun:test";
import { eventually } from "../kit/eventually.ts";
import { putCommand } from "../kit/raft.ts";
import { askFrame, barrierAt, entryAt, playRaftHalf, SERVER } from "../kit/raft-half.ts";

test("entries after a gap are not applied, and the member ends", async () => {
  await using half = await playRaftHalf();
  half.send(barrierAt(5, 0));
  half.send(barrierAt(9, 5));
  // Of what is there already, entries may come again.
  half.send(barrierAt(7, 3));
  await eventually("both to be applied", () => half.sent.filter(({ type }) => type === 3).length === 2);
  half.send(barrierAt(12, 10));
  await eventually("the end", () => half.fatal.length > 0);
  expect(half.fatal).toEqual([
    expect.objectContaining({ code: "log_failed", message: expect.stringContaining("entry 9") }),
  ]);
  expect(half.sent.filter(({ type }) => type === 3).length).toBe(2);
});

test("a copy that cannot be used is refused, and the member goes on", async () => {
  await using half = await playRaftHalf();
  half.send(askFrame({ do: "install", server: SERVER, path: `${half.folder}/nowhere.db`, index: 9, term: 1 }));
  await eventually("the answer", () => half.sent.some(({ type }) => type === 4));
  expect(half.sent.find(({ type }) => type === 4)?.payload.toString("utf8", 8)).toContain("error");
  half.send(barrierAt(5));
  await eventually("an entry to be applied", () => half.sent.some(({ type }) => type === 3));
  expect(half.fatal).toEqual([]);
});

test("a mark that the disk does not take ends the member", async () => {
  await using half = await playRaftHalf();
  half.store.transaction((tx) => {
    const pages = tx.get<{ page_count: number }>("PRAGMA page_count")?.page_count ?? 0;
    tx.get(`PRAGMA max_page_count = ${pages}`);
    tx.run("CREATE TRIGGER full AFTER INSERT ON meta BEGIN INSERT INTO meta VALUES ('x', zeroblob(1000000)); END");
  });
  half.send(askFrame({ do: "mark", server: SERVER, index: 9, term: 1 }));
  await eventually("the end", () => half.fatal.length > 0);
  expect(half.fatal).toEqual([expect.objectContaining({ code: "storage_full" })]);
  expect(half.sent.some(({ type }) => type === 4)).toBe(false);
});

test.each([
  ["SQLITE_FULL", "storage_full"],
  ["SQLITE_IOERR_WRITE", "data_corrupt"],
  ["SQLITE_IOERR_FSYNC", "data_corrupt"],
  ["SQLITE_CORRUPT", "data_corrupt"],
  ["SQLITE_NOMEM", "log_failed"],
])(
  "apply that fails with %s hands over: raft.sock ends, and who waits does not know the outcome",
  async (code, end) => {
    const apply = () => {
      throw Object.assign(new Error("from the disk"), { code });
    };
    await using half = await playRaftHalf(
      ({ type, payload }, send) => {
        if (type === 2) send(entryAt(5, payload.subarray(8)));
      },
      { apply },
    );
    const write = half.log.propose(putCommand("a/1", 1));
    await expect(write).rejects.toMatchObject({ code: "unavailable", facts: { outcome: "unknown" } });
    await eventually("the end of raft.sock", () => half.closed());
    expect(half.fatal).toEqual([expect.objectContaining({ code: end })]);
  },
);
