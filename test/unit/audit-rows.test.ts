// Agents, leases, sessions and messages against the changes that made them: what audit_verify finds of edits from
// outside, and that whatever was done by calls is whole.

import { afterEach, describe, expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { changesCompact } from "../../src/features/context/compaction.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { leaseFeature } from "../../src/features/lease/index.ts";
import { sessionFeature } from "../../src/features/session/index.ts";
import { type Core, localAdmin, startCore } from "../kit/core.ts";

let core: Core;
afterEach(() => core.close());

const features = [contextFeature, agentFeature, leaseFeature, sessionFeature];

/** A node with agents, leases and messages in all their states. */
async function used() {
  core = startCore({ features });
  const call = (operation: string, input: object = {}) => core.call(operation, { ...input }, localAdmin);
  const builder = String((await call("agent_register", { name: "Builder", type: "coder" }))["handle"]);
  await call("agent_register", { name: "left" });
  await call("agent_leave", { agent: "left" }).catch(() => call("agent_remove", { agent: "left" }));
  await call("agent_status", { as: builder, doing: "tests" });
  await call("lease_acquire", { name: "a/file", for: "edit", as: builder });
  const { fence } = await call("lease_acquire", { name: "a/kept" });
  await call("lease_acquire", { name: "a/kept", fence, for: "longer" });
  const { session } = await call("session_create", { space: "a", purpose: "release", metadata: { v: 1 } });
  const post = async (text: string, more: object = {}) =>
    String((await call("message_post", { session, text, ...more }))["message"]);
  const edited = await post("one");
  await call("message_edit", { session, message: edited, text: "one, @Builder", mentions: ["other"] });
  await post("two", { as: builder, visibility: "private", to: ["Builder"], ack: true, parent: edited });
  await call("message_retract", { session, message: await post("three") });
  await call("message_purge", { session, messages: [await post("four")] });
  const other = await call("session_create", { space: "a", purpose: "secret" });
  await call("session_purge", { session: other["session"] });
  await call("session_close", { session });
  await call("session_reopen", { session });
  await post("last");
  return { call, session };
}

const problemOf = async () => (await core.call("audit_verify", {}, localAdmin))["problem"];

test("what calls made is whole, also where its changes are no longer kept", async () => {
  const { call } = await used();
  expect(await problemOf()).toBeUndefined();
  await call("agent_register", { name: "builder", takeover: true });
  expect(await problemOf()).toBeUndefined();
  const floor = core.log.position().seq;
  const propose = { name: changesCompact.name, v: 1, input: { floor }, caller: "local", via: "", key: "" };
  await core.log.propose(propose);
  await call("message_post", {
    session: (await call("session_create", { space: "b", purpose: "x" }))["session"],
    text: "y",
  });
  expect(await problemOf()).toBeUndefined();
});

describe("an edit of rows from outside is found:", () => {
  const edits: [string, string, string][] = [
    ["an agent of another caller", "UPDATE agents SET caller = 'user:eve'", "the agent Builder is not as change"],
    ["another key of an agent", "UPDATE agents SET key = 'ab'", "the agent Builder is not as change"],
    ["an agent that is gone", "DELETE FROM agents", "the agent of change"],
    [
      "a planted agent",
      "INSERT INTO agents VALUES ('eve', 'eve', '', 'user:eve', 'ab', '', 1, 1, '', 0)",
      "the agent eve was registered by no change",
    ],
    [
      "an agent that is back",
      "INSERT INTO agents VALUES ('left', 'left', '', 'local', 'ab', '', 1, 1, '', 0)",
      "the agent left is there, although change",
    ],
    ["another holder of a lease", "UPDATE leases SET agent = 'eve'", "is not as it was granted"],
    ["a longer lease", "UPDATE leases SET ttl_ms = 1 + ttl_ms", "is not as it was granted"],
    [
      "another purpose of a session",
      "UPDATE sessions SET purpose = 'x' WHERE purpose <> ''",
      "is not as it was created",
    ],
    ["another text", "UPDATE message_versions SET text = 'evil' WHERE text = 'last'", "does not match its hash"],
    ["an earlier text", "UPDATE message_versions SET text = 'evil' WHERE text = 'one'", "does not match its hash"],
    ["a text that came back", "UPDATE message_versions SET text = 'three' WHERE text = ''", "does not match its hash"],
    [
      "a text with its hash",
      "UPDATE message_versions SET text = 'evil', hash = 'b5c1fb2efc6d6b4674c2fdcc48ce01b43a3b7c03763c0c3355de0099ee0f8c73' WHERE text = 'last'",
      "is not the one that the change names",
    ],
    ["other metadata", `UPDATE message_versions SET metadata = '{"a":1}' WHERE text = 'last'`, "is not as change"],
    ["another author", "UPDATE messages SET agent = 'Builder' WHERE agent = ''", "is not as change"],
    ["a private message made public", "UPDATE messages SET visibility = 'public'", "is not as change"],
    [
      "other recipients",
      "UPDATE messages SET recipients = char(10) || 'eve' || char(10) WHERE recipients <> ''",
      "is not as",
    ],
    ["a message that is gone", "DELETE FROM messages WHERE visibility = 'private'", "is missing"],
    [
      "a message that no one retracted",
      "UPDATE messages SET removed = 'retracted' WHERE visibility = 'private'; UPDATE message_versions SET text = '' WHERE text = 'two'",
      "was removed by no change",
    ],
  ];
  test.each(edits)("%s", async (_name, sql, wanted) => {
    await used();
    core.store.transaction((tx) => {
      for (const each of sql.split("; ")) expect(tx.run(each).changes).toBeGreaterThan(0);
    });
    expect(await problemOf()).toContain(wanted);
  });
});
