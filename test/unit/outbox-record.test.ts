// What the outbox records: groups of records on their way, and that a record which is applied twice, or late, changes
// nothing twice.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { Recorder, type Records } from "../../src/features/event/subscription/recorder.ts";
import { startSubscriptions } from "../kit/subscriptions.ts";

let node: ReturnType<typeof startSubscriptions>;
beforeEach(async () => {
  node = startSubscriptions();
  await node.call("subscription_create", { id: ID, context: { kind: "context", mode: "append", id: "team-a/list" } });
});
afterEach(() => node[Symbol.asyncDispose]());

const ID = "team-a/x";
const tried = (offset: number) => ({ offset, attempts: 1, status: 500, detail: "down" });

async function record(what: object): Promise<void> {
  const records = [{ subscription: ID, revision: 1_000_000, ...what }];
  await node.core.log.propose({
    ...{ name: "outbox_record", v: 1, input: { records }, caller: "node", via: "", key: "" },
  });
}

async function state() {
  const { subscription, dead_letters, failing } = await node.call("subscription_get", { id: ID });
  const { cursor, missed, reason } = subscription as { cursor: string; missed: number; reason?: string };
  return { at: Number(cursor.split("-e")[1]), missed, reason, dead: dead_letters, failing: failing !== undefined };
}

test("a late record takes no place back, and one that is applied twice counts once", async () => {
  await record({ cursor: 5, missed: 2 });
  await record({ cursor: 5, missed: 2 });
  await record({ cursor: 3 });
  expect(await state()).toEqual({ at: 5, missed: 2, reason: undefined, dead: 0, failing: false });
  await record({ cursor: 5, failing: { ...tried(5), next_at: 1 } });
  expect((await state()).failing).toBe(false);
  await record({ cursor: 5, failing: { ...tried(6), next_at: 1 } });
  expect((await state()).failing).toBe(true);
});

test("a dead letter that was removed does not come back by a repeated record", async () => {
  await node.publish("t");
  await record({ cursor: 1, dead: [tried(1)] });
  expect((await state()).dead).toBe(1);
  await node.call("dead_letter_purge", { id: ID });
  await record({ cursor: 1, dead: [tried(1)] });
  expect(await state()).toMatchObject({ dead: 0, missed: 0 });
});

test("a subscription stops at so many bytes of dead letters, before so many of them", async () => {
  const offsets = Array.from({ length: 19 }, (_, at) => at + 1);
  for (const _ of offsets) await node.publish("t", "x".repeat(900_000));
  await record({ cursor: 18, dead: offsets.slice(0, 18).map(tried) });
  expect((await state()).reason).toBeUndefined();
  await record({ cursor: 19, dead: [tried(19)] });
  expect((await state()).reason).toBe("dead_letters");
}, 30_000);

test("what was to stop a subscription stays with what comes after it, and nothing is added after the end", async () => {
  const ends = new AbortController();
  const written: Records[] = [];
  let isWriting: (() => void) | undefined;
  const recorder = new Recorder(
    {
      record: (records) => {
        written.push(records);
        return new Promise((resolve) => {
          isWriting = resolve;
        });
      },
      pause: async () => {},
    },
    ends.signal,
  );
  const one = { subscription: ID, revision: 1 };
  recorder.add({ ...one, cursor: 1, stop: "revoked" });
  recorder.add({ ...one, cursor: 2 });
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  expect(written).toMatchObject([[{ cursor: 2, stop: "revoked" }]]);
  expect(recorder.isPending(ID)).toBe(true);
  isWriting?.();
  await new Promise((resolve) => setImmediate(resolve));
  expect(recorder.isPending(ID)).toBe(false);
  ends.abort();
  recorder.add({ ...one, cursor: 3 });
  expect(recorder.isPending(ID)).toBe(false);
});
