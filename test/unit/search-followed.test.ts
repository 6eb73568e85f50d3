// What the index of searches follows: changes of events are many, and alter no row of it.

import { expect, test } from "bun:test";
import { eventFeature } from "../../src/features/event/index.ts";
import type { Log } from "../../src/log/log.ts";
import { eventually } from "../kit/eventually.ts";
import { Searched } from "../kit/search.ts";

const COPY_CONTEXT = [
  "CREATE TEMP TABLE copied AS SELECT * FROM contexts WHERE id = 'a/1'",
  "UPDATE copied SET id = 'a/2'",
  "INSERT INTO contexts SELECT * FROM copied",
];

/** Rows that the test adds are known to the feed of changes alone. */
function atHeadOfFeed(log: Log): Log {
  return new Proxy(log, {
    get(target, name) {
      if (name === "position") return () => target.changes.head();
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

test("a search whose index is deleted meanwhile is asked to come again", async () => {
  await using node = new Searched();
  await node.put("a/1", "granite");
  await node.search("granite");
  const open = node.index.open();
  Object.assign(node.index, { open: () => open, begun: async () => {} });
  await node.index.stop();
  const search = node.core.call("search", { query: "granite" });
  await expect(search).rejects.toMatchObject({ code: "unavailable", details: { retryAfterSeconds: 2 } });
}, 30_000);

test("an index goes on over changes that alter no row, however many, and has everything without them", async () => {
  await using node = new Searched({ wrapLog: atHeadOfFeed }, [eventFeature]);
  await node.put("a/1", "granite first");
  await node.search("granite");
  const event = { type: "opened", id: "1", source: "a", extensions: {}, kind: "json", data: "{}" };
  await node.core.call("event_append", { space: "a", events: [event] });
  const now = await node.core.call("search", { query: "granite", min_position: node.core.invoker.position() });
  expect(now["index"]).toEqual({ position: node.core.invoker.position() });
  await node.restart(() => {
    const { epoch, seq } = node.core.log.position();
    node.core.store.transaction((tx) => {
      const columns = "epoch, log_time, caller, via, version, content_hash, outcome, hash";
      tx.run(
        `INSERT INTO changes (seq, operation, target, ${columns})
           WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= 20000)
           SELECT ? + i, iif(i <= 20000, 'event_append', 'context_put'), iif(i <= 20000, 'a/events', 'a/2'), ${columns}
           FROM changes, n WHERE seq = ?`,
        ...[seq, seq],
      );
      tx.run(
        `INSERT INTO versions (id, version, seq, hash, content_type, title, tags, size, author, via, log_time, deleted, content)
           SELECT 'a/2', 1, ?, hash, content_type, title, tags, size, author, via, log_time, deleted, content
           FROM versions WHERE id = 'a/1'`,
        seq + 20001,
      );
      for (const sql of COPY_CONTEXT) tx.run(sql);
    });
    node.core.log.changes.restart({ epoch, seq: seq + 20001 });
  });
  const found = async () => (await node.core.call("search", { query: "granite" }))["hits"] as { id: string }[];
  await eventually("the row after them", async () => (await found()).some(({ id }) => id === "a/2"));
  expect(node.errors).toEqual([]);
}, 30_000);
