// Sessions by an edge, which holds none of their rows: reads, waits and streams are its upstream's, and it sees no
// change that not everybody may see.

import { expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { leaseFeature } from "../../src/features/lease/index.ts";
import { sessionFeature } from "../../src/features/session/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import type { Followed, Following } from "../../src/operation/follow.ts";
import { notLeader } from "../../src/operation/routing-faults.ts";
import { startEdgePair } from "../kit/edge.ts";
import { eventually } from "../kit/eventually.ts";
import { type Shown, Someone, startSessions, user } from "../kit/sessions.ts";

test("an edge reads, waits and writes through its upstream, as the same agent", async () => {
  const upstream = startSessions();
  const pair = startEdgePair({ upstream, features: [agentFeature, leaseFeature, sessionFeature] });
  await pair.poll();
  const ann = user("ann");
  const one = await new Someone(upstream, ann).as("one");
  const session = await one.create("Work", "s");
  const secret = await one.post(session, "secret", { visibility: "private", to: ["two"] });
  await one.post(session, "open");
  const { output } = await pair.invoke("session_start", { session, name: "two" }, user("bob"));
  expect((output["messages"] as Shown[]).map(({ text }) => text)).toEqual(["secret", "open"]);
  const as = output["handle"];
  const since = output["position"];
  const waiting = pair.invoke("message_wait", { session, since, timeout_seconds: 20, as }, user("bob"));
  const posted = await pair.invoke("message_post", { session, text: "by an edge", parent: secret, as }, user("bob"));
  await one.post(session, "an answer");
  const { events } = (await waiting).output as { events: Shown[] };
  expect(events.map(({ text }) => text)).toEqual(["an answer"]);
  expect((await one.list(session)).find(({ message }) => message === posted.output["message"])).toMatchObject({
    ...{ parent: secret, author: "user:bob@example.com", agent: "two" },
  });
  const plain = (await pair.invoke("message_list", { session }, user("carl"))).output["messages"] as Shown[];
  expect(plain.map(({ text }) => text)).toEqual(["open", "by an edge", "an answer"]);
  const answer = await pair.pull();
  const positions = answer.items.map(({ operation, target }) => `${operation} ${target}`);
  expect(positions.filter((each) => each === `message_post ${session}`)).toHaveLength(3);
  await pair.poll();
  // The changes that came are public, and the edge has no rows by which to judge them.
  const { changes } = (await pair.invoke("context_wait", { prefix: "s/", since, timeout_seconds: 5 }, user("carl")))
    .output;
  const told = (changes as { operation: string }[]).map(({ operation }) => operation);
  expect(told.filter((operation) => operation === "message_post")).toHaveLength(2);
  await pair.close();
  await upstream.close();
});

test("where a follower cannot tell whether an agent is one, an edge asks the leader", async () => {
  const upstream = startSessions();
  const pair = startEdgePair({ upstream, features: [agentFeature, leaseFeature, sessionFeature] });
  await pair.poll();
  const { handle } = (await pair.invoke("agent_register", { name: "one" }, user("bob"))).output;
  const ways: string[] = [];
  pair.setLink(async (path, deliver, _node, to) => {
    if (path === "forward") ways.push(String(to));
    if (to === "upstream") throw notLeader({ node: "nCENTRAL" });
    return deliver();
  });
  const list = (as?: unknown) => pair.invoke("agent_list", as === undefined ? {} : { as }, user("bob"));
  expect((await list(handle)).output["agents"]).toMatchObject([{ name: "one" }]);
  await expect(list(`agent-${"0".repeat(32)}`)).rejects.toMatchObject({ code: "agent_unknown" });
  expect(ways).toEqual(["upstream", "leader", "upstream", "leader"]);
  // A call of the caller itself is one that any full member runs: it is told as it is.
  await expect(list()).rejects.toMatchObject({ code: "unavailable" });
  expect(ways.slice(4)).toEqual(["upstream"]);
  await pair.close();
  await upstream.close();
});

/** Takes what comes until there are so many. */
async function taken(following: Following, count: number, max = 64): Promise<Followed[]> {
  const all: Followed[] = [];
  await eventually(`${count} items`, () => {
    all.push(...following.take(max).items);
    return all.length >= count || undefined;
  });
  return all;
}

const textsOf = (items: readonly Followed[]) => items.map(({ value }) => value["text"]);

async function streamed() {
  const upstream = startSessions();
  const pair = startEdgePair({ upstream, features: [agentFeature, leaseFeature, sessionFeature] });
  await pair.poll();
  const one = await new Someone(upstream, user("ann")).as("one");
  const session = await one.create("Work", "s");
  const abort = new AbortController();
  const follow = (input: Record<string, unknown> = {}, caller = user("bob")) =>
    pair.core.invoker.follow({
      ...{ operation: "message_wait", caller, signal: abort.signal },
      input: { session, ...input },
    });
  const close = async () => {
    abort.abort();
    await pair.close();
    await upstream.close();
  };
  return { upstream, pair, one, session, follow, close };
}

test("a stream of an edge shows what its caller may read, from where it was left, each message once", async () => {
  const { pair, one, session, follow, close } = await streamed();
  await one.post(session, "before");
  const following = await follow();
  expect([following.eventName, following.isOfChanges, pair.core.invoker.openStreams]).toEqual(["change", false, 1]);
  let news = 0;
  following.onNews(() => {
    news += 1;
  });
  expect(following.take(64)).toEqual({ items: [], more: false });
  await one.post(session, "secret", { visibility: "private", to: ["one"] });
  for (const text of ["a", "b", "c"]) await one.post(session, text);
  const items = await taken(following, 3, 1);
  expect(textsOf(items)).toEqual(["a", "b", "c"]);
  expect(news).toBeGreaterThan(0);
  expect(items.map(({ position }) => position)).toEqual(items.map(({ value }) => value["at"]) as string[]);
  const again = await follow({ since: items[0]?.position });
  // Nothing of it was taken yet.
  expect(again.position).toBe(items[0]?.position ?? "");
  expect(textsOf(again.take(1).items)).toEqual(["b"]);
  expect(again.position).toBe(items[1]?.position ?? "");
  expect(textsOf(await taken(again, 1))).toEqual(["c"]);
  // What is not for this caller moves its place too.
  const moved = following.position;
  await one.post(session, "for itself", { visibility: "private", to: ["one"] });
  await one.post(session, "d");
  await taken(following, 1);
  expect(following.position).not.toBe(moved);
  following.close();
  again.close();
  expect(pair.core.invoker.openStreams).toBe(0);
  await close();
});

test("a stream of an edge takes one answer ahead, and asks nothing while its client does not read", async () => {
  const { pair, one, session, follow, close } = await streamed();
  const waits = () => pair.asked.filter((each) => each.startsWith("message_wait")).length;
  const following = await follow();
  following.take(64);
  await eventually("the wait to be asked for", () => waits() === 2 || undefined);
  for (let n = 0; n < 3; n++) await one.post(session, `m${n}`);
  await Bun.sleep(20);
  const before = waits();
  await one.post(session, "later");
  await Bun.sleep(20);
  expect(waits()).toBe(before);
  expect(textsOf(await taken(following, 4))).toEqual(["m0", "m1", "m2", "later"]);
  following.close();
  const closed = waits();
  await one.post(session, "unheard");
  await Bun.sleep(20);
  expect(waits()).toBe(closed);
  await close();
});

test("what the upstream refuses is refused before a stream of an edge opens, or ends it", async () => {
  const { pair, one, session, follow, close } = await streamed();
  const codeOf = (promise: Promise<unknown>) =>
    promise.then(
      () => "none",
      (error: unknown) => (error instanceof Fault ? error.code : String(error)),
    );
  expect(await codeOf(follow({ session: "s/session_0000000000000000" }))).toBe("not_found");
  expect(await codeOf(follow({ timeout_seconds: 5 }))).toBe("invalid_input");
  expect(await codeOf(follow({ limit: 5 }))).toBe("invalid_input");
  expect(await codeOf(follow({}, user("eve", { role: "reader", spaces: ["other"] })))).toBe("forbidden");
  expect(pair.core.invoker.openStreams).toBe(0);

  const following = await follow();
  pair.setLink(() => Promise.reject(new Fault("unavailable", "no upstream")));
  following.take(64);
  await one.post(session, "lost");
  await eventually("the stream to end", () => {
    try {
      following.take(64);
      return undefined;
    } catch (error) {
      expect(error).toMatchObject({ code: "unavailable" });
      return true;
    }
  });
  following.close();
  await close();
});
