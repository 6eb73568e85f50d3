// Changes of rows that not everyone in their space may read, on every way that changes take: waits, streams, the audit,
// notifications of MCP, and the feed of an edge. Each is compared with what a read of the row says.

import { expect, test } from "bun:test";
import type { Caller } from "../../src/access/caller.ts";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { agentKeyOf } from "../../src/lib/agent-key.ts";
import { ResourceIndex } from "../../src/mcp/resource-index.ts";
import { Subscriptions } from "../../src/mcp/subscriptions.ts";
import { type Core, callerWith, startCore } from "../kit/core.ts";
import { startEdgePair } from "../kit/edge.ts";
import { whisperFeature } from "../kit/whispers.ts";

const user = (login: string, ...grants: object[]): Caller =>
  callerWith({ id: `n${login}`, login: `${login}@example.com`, grants });
const reviewers = { role: "operator", spaces: ["s"], agent_types: ["reviewer"] };
const ann = user("ann", reviewers);
const bob = user("bob", reviewers);
/** May be what it likes: no grant lists its type. */
const eve = user("eve", { role: "operator", spaces: ["s"] });
const chief = user("chief", { role: "admin", spaces: ["s"] });

interface Who {
  name: string;
  caller: Caller;
  handle?: string;
}

async function agentOf(core: Core, name: string, caller: Caller, type = "reviewer"): Promise<Who> {
  const { handle } = await core.call("agent_register", { name, type }, caller);
  return { name, caller, handle: String(handle) };
}

const asking = ({ caller, handle }: Who, input: Record<string, unknown>) =>
  [handle === undefined ? input : { ...input, as: handle }, caller] as const;

/** Writers, readers and rows: who may read which is in `EXPECTED`. */
async function scene(core: Core): Promise<{ readers: Who[]; ids: string[]; since: string }> {
  const annOne = await agentOf(core, "one", ann);
  const annTwo = await agentOf(core, "two", ann, "coder");
  const bobs = await agentOf(core, "bobs", bob);
  const eves = await agentOf(core, "eves", eve);
  const since = core.invoker.position();
  const rows: [string, Who, string, string[]?][] = [
    ["s/public", annOne, "public"],
    ["s/own", annOne, "private"],
    ["s/to-agent", annOne, "private", ["BOBS"]],
    ["s/to-login", annOne, "private", ["eve@example.com"]],
    ["s/type", annOne, "agent_only"],
    ["s/uncounted", eves, "agent_only"],
    ["s/admins", annOne, "admin_only"],
    ["s/caller", { name: "ann", caller: ann }, "private"],
  ];
  for (const [id, who, visibility, to] of rows)
    await core.call("whisper", ...asking(who, { id, visibility, ...(to === undefined ? {} : { to }) }));
  const plain = [ann, bob, eve, chief].map((caller) => ({ name: caller.login.split("@")[0] ?? "", caller }));
  return { readers: [annOne, annTwo, bobs, eves, ...plain], ids: rows.map(([id]) => id), since };
}

const EXPECTED: Readonly<Record<string, string[]>> = {
  one: ["s/public", "s/own", "s/to-agent", "s/to-login", "s/type", "s/caller"],
  two: ["s/public", "s/caller"],
  bobs: ["s/public", "s/to-agent", "s/type"],
  eves: ["s/public", "s/to-login", "s/uncounted"],
  ann: ["s/public", "s/caller"],
  bob: ["s/public"],
  eve: ["s/public", "s/to-login"],
  chief: ["s/public", "s/admins"],
};

const targets = (rows: unknown) => (rows as { target: string }[]).map(({ target }) => target);
const features = () => [agentFeature, contextFeature, whisperFeature()];

test("a read, a wait, a long poll, a stream and the audit show each viewer the same rows", async () => {
  await using core = startCore({ features: features() });
  const { readers, ids, since } = await scene(core);
  for (const who of readers) {
    const expected = EXPECTED[who.name] ?? [];
    const heard: string[] = [];
    for (const id of ids) if ((await core.call("overhear", ...asking(who, { id })))["heard"] === true) heard.push(id);
    expect([who.name, heard]).toEqual([who.name, expected]);
    const waited = await core.call("context_wait", ...asking(who, { since, prefix: "s/", timeout_seconds: 0 }));
    expect([who.name, targets(waited["changes"])]).toEqual([who.name, expected]);
    const headers: Record<string, string> = who.handle === undefined ? {} : { "cairn-agent": who.handle };
    const polled = await core.http(`/changes?feed=longpoll&since=${since}&prefix=s/`, { headers }, who.caller);
    expect([who.name, targets(((await polled.json()) as { changes: unknown }).changes)]).toEqual([who.name, expected]);
    const [input, caller] = asking(who, { since, prefix: "s/" });
    const call = { operation: "context_wait", input, caller, signal: AbortSignal.timeout(5000) };
    const following = await core.invoker.follow(call);
    const shown = following.take(100).items.map(({ value }) => value);
    following.close();
    expect([who.name, targets(shown)]).toEqual([who.name, expected]);
    if (who.name === "chief") continue;
    const audit = await core.call("audit_query", ...asking(who, { prefix: "s/", since }));
    expect([who.name, targets(audit["rows"]).toReversed()]).toEqual([who.name, expected]);
  }
  // Without its space nothing of it is seen, whatever the row says.
  const stranger = user("ann", { role: "admin", spaces: ["t"] });
  expect((await core.call("context_wait", { since, timeout_seconds: 0 }, stranger))["changes"]).toEqual([]);
});

test("a subscriber is notified of what its client may see, as the agent that it is then", async () => {
  await using core = startCore({ features: features() });
  const index = new ResourceIndex(features());
  const subscriptions = new Subscriptions(core.invoker, new ResourceIndex(features()), () => {});
  const one = await agentOf(core, "one", ann);
  const bobs = await agentOf(core, "bobs", bob);
  const open = (who: Who) => {
    const sent: string[] = [];
    const subscriber = subscriptions.open({
      caller: () => who.caller,
      agentKey: () => (who.handle === undefined ? undefined : agentKeyOf(who.handle)),
      free: () => true,
      updated: (uri) => void sent.push(uri),
      listChanged: () => void sent.push("list"),
    });
    subscriber.wantsList = true;
    for (const id of ["s/secret", "s/public"]) subscriber.watch(`whisper:///${encodeURIComponent(id)}`);
    return sent;
  };
  expect(index.kinds).toHaveLength(2);
  const [toBobs, toBob] = [open(bobs), open({ name: "bob", caller: bob })];
  await core.call("whisper", ...asking(one, { id: "s/secret", visibility: "private", to: ["bobs"] }));
  expect([toBobs, toBob]).toEqual([["whisper:///s%2Fsecret", "list"], []]);
  await core.call("whisper", ...asking(one, { id: "s/public", visibility: "public" }));
  expect(toBob).toEqual(["whisper:///s%2Fpublic", "list"]);
  // Its handle has ended: the open stream is that of its caller from now on.
  await core.call("agent_register", { name: "bobs", takeover: true }, bob);
  await core.call("whisper", ...asking(one, { id: "s/secret", visibility: "private", to: ["bobs"] }));
  expect(toBobs).toEqual(["whisper:///s%2Fsecret", "list", "whisper:///s%2Fpublic", "list"]);
  subscriptions.close();
});

test("an agent that has ended while it waits gets no change of a row that only it may read", async () => {
  await using core = startCore({ features: features() });
  const one = await agentOf(core, "one", ann);
  const bobs = await agentOf(core, "bobs", bob);
  const since = core.invoker.position();
  const waiting = core.call("context_wait", ...asking(bobs, { since, prefix: "s/", timeout_seconds: 20 }));
  waiting.catch(() => {});
  await core.call("agent_register", { name: "bobs", takeover: true }, bob);
  await core.call("whisper", ...asking(one, { id: "s/secret", visibility: "private", to: ["bobs"] }));
  await expect(waiting).rejects.toMatchObject({ code: "agent_unknown" });
});

test("the feed of an edge has only what is public, and calls there act as agents", async () => {
  const own = features();
  const upstream = startCore({ features: own });
  const pair = startEdgePair({ upstream, features: own.filter((feature) => feature !== contextFeature) });
  await pair.poll();
  const { ids } = await scene(upstream);
  const answer = await pair.pull();
  const seen = answer.items.map(({ target }) => target).filter((target) => ids.includes(target));
  expect(seen).toEqual(["s/public"]);
  await pair.poll();
  const two = await pair.invoke("agent_register", { name: "edgy", type: "reviewer" }, ann);
  const as = two.output["handle"];
  expect(as).toMatch(/^agent-[0-9a-f]{32}$/);
  await pair.invoke("whisper", { id: "s/from-edge", visibility: "public", as }, ann);
  const { rows } = await upstream.call("audit_query", { prefix: "s/from-edge" });
  expect(rows).toMatchObject([{ agent: "edgy", caller: "user:ann@example.com" }]);
  // It goes upstream, which looks the key up.
  expect((await pair.invoke("overhear", { id: "s/type", as }, ann)).output).toEqual({ heard: true });
  expect((await pair.invoke("overhear", { id: "s/type" }, ann)).output).toEqual({ heard: false });
  await expect(pair.invoke("overhear", { id: "s/type", as }, bob)).rejects.toMatchObject({ code: "agent_unknown" });
  await upstream.call("agent_register", { name: "edgy", takeover: true }, ann);
  await expect(pair.invoke("whisper", { id: "s/x", visibility: "public", as }, ann)).rejects.toMatchObject({
    code: "agent_unknown",
  });
  for (const input of pair.inputs) expect(JSON.stringify(input)).not.toContain(String(as).slice(6));
  await pair.close();
  await upstream.close();
});
