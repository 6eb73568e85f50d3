// Who may read a message: random callers, agents, types, roles and messages, and every road against one plain model. A
// road that shows one message too many, or counts it, or hides one that may be read, fails.

import { expect, test } from "bun:test";
import { sessionFeature } from "../../src/features/session/index.ts";
import { agentKeyOf } from "../../src/lib/agent-key.ts";
import { ResourceIndex } from "../../src/mcp/resource-index.ts";
import { Subscriptions } from "../../src/mcp/subscriptions.ts";
import type { Core } from "../kit/core.ts";
import { randomFrom } from "../kit/random-from.ts";
import { type Reader, readersOf, SPACES } from "../kit/readers.ts";
import { type Shown, startSessions } from "../kit/sessions.ts";

/** What the model knows of a message. */
interface Said {
  id: string;
  session: string;
  text: string;
  by: Reader;
  visibility: string;
  to: readonly string[];
  parent: Said | undefined;
  /** Positions of its changes. */
  changes: string[];
}

/** The plain model, from docs/features.md 3. */
function mayRead({ visibility, by, to, session }: Said, who: Reader): boolean {
  if (!who.spaces.includes(session.split("/")[0] ?? "")) return false;
  const isAuthor = by.login === who.login && (by.agent === undefined || by.agent === who.agent);
  if (visibility === "public") return true;
  if (visibility === "admin_only") return who.isAdmin;
  if (visibility === "agent_only") return isAuthor || (by.type !== undefined && by.type === who.type);
  return isAuthor || to.some((name) => name === who.agent || name === who.login);
}

test.each([1, 2, 3])(
  "every road shows exactly what the model allows (seed %d)",
  async (seed) => {
    const random = randomFrom(seed);
    const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;
    await using core = startSessions({ streamsPerCaller: 1000 });
    const readers = await readersOf(core);
    const ann = readers[0] as Reader;
    const sessions = await Promise.all(SPACES.map((space) => ann.create("Work", space)));
    const subscriptions = new Subscriptions(core.invoker, new ResourceIndex([sessionFeature]), () => {});
    const updates = readers.map((who) => subscribe(subscriptions, who, sessions));
    const since = core.invoker.position();
    const said: Said[] = [];
    for (let n = 0; n < 40; n += 1) {
      const by = pick(readers);
      const session = pick(sessions.filter((id) => by.spaces.includes(id.split("/")[0] ?? "")));
      const visibility = pick(["public", "private", "agent_only", "admin_only"]);
      if (visibility === "agent_only" && by.type === undefined) continue;
      const to =
        visibility === "private" ? [pick(readers), pick(readers)].map(({ agent, login }) => agent ?? login) : [];
      const parents = said.filter((each) => each.session === session && mayRead(each, by));
      const parent = random(3) === 0 && parents.length > 0 ? pick(parents) : undefined;
      const text = `said-${n} @${pick(readers).agent ?? "nobody"}`;
      const more = { visibility, to, ack: random(4) === 0 && visibility !== "private" };
      const id = await by.post(session, text, { ...more, ...(parent === undefined ? {} : { parent: parent.id }) });
      const changes = [core.invoker.position()];
      said.push({ id, session, text, by, visibility, to, parent, changes });
      if (random(5) !== 0) continue;
      await by.call("message_edit", { session, message: id, text });
      changes.push(core.invoker.position());
    }
    expect(new Set(said.map(({ visibility }) => visibility)).size).toBe(4);
    for (const [at, who] of readers.entries()) {
      const where = `seed ${seed}, ${who.label}`;
      for (const session of sessions.filter((id) => who.spaces.includes(id.split("/")[0] ?? "")))
        await checkSession(who, session, said, where);
      await checkWait(who, since, said, where);
      await checkInbox(who, said, where);
      const readable = said.filter((each) => mayRead(each, who));
      await checkFeed(core, who, since, readable, where);
      const notified = readable.flatMap(({ session, changes }) => changes.map(() => session));
      expect([where, updates[at]?.toSorted()]).toEqual([where, notified.toSorted()]);
    }
    subscriptions.close();
  },
  120_000,
);

const idsOf = (messages: readonly { message?: string; id?: string }[]): string[] =>
  messages.map((each) => each.message ?? each.id ?? "").sort();

async function checkSession(who: Reader, session: string, said: readonly Said[], where: string): Promise<void> {
  const here = said.filter((each) => each.session === session);
  const mine = here.filter((each) => mayRead(each, who));
  const listed = await who.list(session, { limit: 500 });
  expect([where, idsOf(listed)]).toEqual([where, idsOf(mine)]);
  const { lines } = await who.call("session_export", { session });
  const [about, ...exported] = (lines as string[]).map((line) => JSON.parse(line));
  expect([where, about.message_count, idsOf(exported)]).toEqual([where, mine.length, idsOf(mine)]);
  const got = await who.call("session_get", { session, limit: 500 });
  expect(idsOf(got["messages"] as Shown[])).toEqual(idsOf(mine));
  expect(got["message_count"]).toBe(mine.length);
  const { sessions } = await who.call("session_list");
  const entry = (sessions as Record<string, unknown>[]).find((each) => each["session"] === session);
  expect([where, entry?.["message_count"], entry?.["last_at"]]).toEqual([where, mine.length, got["last_at"]]);
  expect(got["last_at"]).toBe(
    listed
      .map(({ posted_at }) => posted_at as string)
      .sort()
      .at(-1),
  );
  await checkParticipants(who, session, mine, where);
  for (const each of here) await checkMessage(who, session, each, here, where);
}

async function checkParticipants(who: Reader, session: string, mine: readonly Said[], where: string): Promise<void> {
  const { participants } = await who.call("session_participants", { session });
  const counted = (participants as { author: string; agent?: string; messages: number }[]).map(
    ({ author, agent = "", messages }) => `${author.replace("user:", "")} ${agent} ${messages}`,
  );
  const counts = new Map<string, number>([["ann@example.com ", 0]]);
  for (const { by } of mine)
    counts.set(`${by.login} ${by.agent ?? ""}`, (counts.get(`${by.login} ${by.agent ?? ""}`) ?? 0) + 1);
  expect([where, counted.sort()]).toEqual([where, [...counts].map(([name, n]) => `${name} ${n}`).sort()]);
}

/** One message by its id. What may not be read is not there: nor as a parent, a thread, or to be acknowledged. */
async function checkMessage(
  who: Reader,
  session: string,
  each: Said,
  here: readonly Said[],
  where: string,
): Promise<void> {
  const input = { session, message: each.id };
  if (!mayRead(each, who)) {
    const absent = { ...input, message: "m_000000000000" };
    const refusalOf = async (operation: string, given: Record<string, unknown>) => {
      const fault = await who.call(operation, given).then(
        () => undefined,
        (error: { code: string; message: string }) => error,
      );
      return `${fault?.code} ${fault?.message}`.replaceAll(each.id, "m_000000000000");
    };
    expect([where, await refusalOf("message_get", input)]).toEqual([where, await refusalOf("message_get", absent)]);
    expect(await refusalOf("message_list", { session, thread: each.id })).toStartWith("not_found");
    expect(await refusalOf("message_ack", { session, messages: [each.id] })).toStartWith("not_found");
    expect(await refusalOf("message_post", { session, text: "x", parent: each.id })).toStartWith("not_found");
    return;
  }
  const shown = (await who.call("message_get", input)) as Shown;
  const chain: Said[] = [];
  for (let above = each.parent; above !== undefined && mayRead(above, who); above = above.parent) chain.push(above);
  expect([where, shown.parent, shown.thread, shown.depth]).toEqual([
    ...[where, chain[0]?.id, chain.at(-1)?.id],
    chain.length === 0 ? undefined : chain.length,
  ]);
  const below = new Set([each]);
  for (const other of here)
    if (other.parent !== undefined && below.has(other.parent) && mayRead(other, who)) below.add(other);
  expect([where, idsOf(await who.list(session, { thread: each.id, limit: 500 }))]).toEqual([where, idsOf([...below])]);
}

async function checkWait(who: Reader, since: string, said: readonly Said[], where: string): Promise<void> {
  const found = new Set<string>();
  let position = since;
  for (let timedOut = false; !timedOut; ) {
    const page = await who.call("message_wait", { since: position, timeout_seconds: 0, own: true, limit: 7 });
    for (const { message } of page["events"] as Shown[]) found.add(message);
    position = String(page["position"]);
    timedOut = page["timed_out"] === true;
  }
  expect([where, [...found].sort()]).toEqual([where, idsOf(said.filter((each) => mayRead(each, who)))]);
}

/** Subscribes to the resources of sessions, and returns the sessions of the notifications that come. */
function subscribe(subscriptions: Subscriptions, who: Reader, sessions: readonly string[]): string[] {
  const updates: string[] = [];
  const subscriber = subscriptions.open({
    caller: () => who.caller,
    agentKey: () => (who.handle === undefined ? undefined : agentKeyOf(who.handle)),
    free: () => true,
    updated: (uri) => void updates.push(decodeURIComponent(uri.slice("session:///".length))),
    listChanged: () => {},
  });
  for (const session of sessions) subscriber.watch(`session:///${encodeURIComponent(session)}`);
  return updates;
}

/** The feed of all changes, as a wait, as streams, and as the audit. */
async function checkFeed(
  core: Core,
  who: Reader,
  since: string,
  readable: readonly Said[],
  where: string,
): Promise<void> {
  const expected = readable.flatMap(({ changes }) => changes).sort();
  const as = who.handle === undefined ? {} : { as: who.handle };
  const waited = await who.call("context_wait", { since, timeout_seconds: 0 });
  const positions = (waited["changes"] as { position: string }[]).map(({ position }) => position);
  expect([where, positions.sort()]).toEqual([where, expected]);
  for (const [operation, member, more] of [
    ["context_wait", "position", {}],
    ["message_wait", "at", { own: true }],
  ] as const) {
    const input = { since, ...more, ...as };
    const call = { operation, input, caller: who.caller, signal: AbortSignal.timeout(20_000) };
    const following = await core.invoker.follow(call);
    const shown = following.take(500).items.map(({ value }) => String(value[member]));
    following.close();
    expect([where, operation, shown.sort()]).toEqual([where, operation, expected]);
  }
  if (!who.isAdmin) return;
  const { rows } = await who.call("audit_query", { since, operation: "message_post", limit: 500 });
  const audited = (rows as { position: string }[]).map(({ position }) => position);
  expect([where, audited.sort()]).toEqual([where, readable.map(({ changes: [posted = ""] }) => posted).sort()]);
}

async function checkInbox(who: Reader, said: readonly Said[], where: string): Promise<void> {
  const isNamed = ({ to, text, by }: Said) =>
    !(by.login === who.login && by.agent === who.agent) &&
    (to.some((name) => name === who.agent || name === who.login) ||
      (who.agent !== undefined && text.endsWith(`@${who.agent}`)));
  const wanted = said.filter((each) => isNamed(each) && mayRead(each, who));
  expect([where, idsOf(await who.inbox({ limit: 200 }))]).toEqual([where, idsOf(wanted)]);
}
