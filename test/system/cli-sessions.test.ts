// Sessions from the command line, at a node that runs: a person begins one, writes, replies, reads and acknowledges.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type DevNode, startDevNode } from "../kit/dev-node.ts";

let node: DevNode;

beforeAll(async () => {
  node = await startDevNode();
}, 300_000);

afterAll(async () => {
  await node?.[Symbol.asyncDispose]();
}, 60_000);

/** Runs a command that has to work, and returns what it prints. */
async function cairn(...words: string[]): Promise<string> {
  const { code, out, err } = await node.cairn([...words, "--url", node.url]);
  expect([words, code, err]).toEqual([words, 0, ""]);
  return out;
}

test("a person writes in a session and reads it, each message under its author and its text apart", async () => {
  expect(await cairn("session", "list")).toBe("there is no session that you may read\n");
  const session = (await cairn("session", "create", "Release 1.0", "--space", "team-a")).trim();
  expect(session).toMatch(/^team-a\/session_[0-9a-f]{16}$/);
  const plan = (
    await cairn("say", session, "The plan:\n m_000000000000  2026  root", "--kind", "plan", "--ack")
  ).trim();
  // Nobody of that login was here yet: it is remarked on, and posted.
  const words = ["say", session, "Agreed", "--reply", plan, "--to", "bob@example.com", "--private"];
  const posted = await node.cairn([...words, "--url", node.url]);
  expect([posted.code, posted.err]).toEqual([
    0,
    'cairn: no agent or login "bob@example.com" is known here; cairn agents lists the agents\n',
  ]);
  const reply = posted.out.trim();
  const [first = "", ...rest] = (await cairn("session", "show", session)).split("\n");
  expect(first).toMatch(new RegExp(`^${plan}  \\S+  local:dev  plan  wants an acknowledgement$`));
  // What looks like another message in a text cannot pass for one.
  expect(rest.slice(0, 2)).toEqual(["  | The plan:", "  |  m_000000000000  2026  root"]);
  expect(rest[2]).toMatch(new RegExp(`^  ${reply}  \\S+  local:dev  private  to bob@example\\.com$`));
  expect(rest[3]).toBe("    | Agreed");
  expect(await cairn("session", "ack", session, plan)).toBe("acknowledged\n");
  expect(await cairn("session", "show", session)).toMatch(
    /^m_\S+ {2}\S+ {2}local:dev {2}plan {2}acknowledged by local:dev\n/,
  );
  expect(await cairn("session", "list", "--space", "team-a")).toMatch(
    /^team-a\/session_\S+ +open +2 messages +\S+ +Release 1\.0\n$/,
  );
  const lines = (await cairn("session", "export", session)).trim().split("\n");
  expect(lines.map((line) => JSON.parse(line).type)).toEqual(["session", "message", "message"]);
  expect(await cairn("inbox")).toMatch(/^nothing\ngo on with --since \S+\n$/);
  expect(await cairn("session", "close", session)).toBe("closed\n");
  const late = await node.cairn(["say", session, "Late", "--url", node.url]);
  expect([late.code, late.err]).toEqual([5, expect.stringContaining("with cairn session reopen")]);
  const noReply = await node.cairn(["say", session, "Late", "--reply", "x", "--url", node.url]);
  expect([noReply.code, noReply.err]).toEqual([
    2,
    expect.stringMatching(/^cairn: --reply: .*\n +try: .*--reply takes/),
  ]);
  expect(await cairn("session", "reopen", session)).toBe("open\n");
  expect(JSON.parse(await cairn("session", "show", session, "--limit", "1", "--json"))).toMatchObject({
    messages: [{ message: reply, parent: plan }],
  });
}, 120_000);

test("a name that no agent and no login has is remarked on, wherever something is addressed", async () => {
  expect(await cairn("agents", "register", "builder")).toContain("builder");
  const session = (await cairn("session", "create", "Names")).trim();
  expect(await cairn("say", session, "For @builder", "--to", "local:dev", "--to", "tag:ci")).toMatch(/^m_/);
  const note = 'cairn: no agent or login "bilder" is known here; did you mean builder?\n';
  for (const words of [
    ["say", session, "For @bilder"],
    ["say", session, "x", "--to", "bilder"],
    ["memory", "store", "x", "--to", "bilder"],
    ["context", "put", "a/b", "--visibility", "private", "--to", "bilder"],
  ]) {
    const { code, err } = await node.cairn([...words, "--url", node.url], "text");
    expect([words, code, err]).toEqual([words, 0, note]);
  }
}, 120_000);

test("a search of memories that finds nothing says where it looked", async () => {
  expect(await cairn("memory", "search", "tabs")).toBe(
    "no memory in space default (--space names another) has these words\n",
  );
  expect(await cairn("memory", "search", "tabs", "--space", "team-a")).toBe(
    "no memory in space team-a has these words\n",
  );
  expect(await cairn("memory", "list", "--space", "team-a")).toBe(
    "there is no memory in space team-a that you may read\n",
  );
}, 60_000);
