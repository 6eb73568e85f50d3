// What agents of one session do: talk, some of it in private, acknowledge, search, remember, and take turns by leases
// of which one holder dies. Each scene checks what everybody sees, and what nobody may see.

import { pause } from "../lib/pause.ts";
import { type Agent, CheckFailedError, objectOf } from "./agent.ts";
import type { Random } from "./random.ts";
import { put, type Scene, type Stage, TAG, words } from "./stage.ts";

/** Time limit of a wait, in seconds. */
const WAIT_SECONDS = 20;
/** How long a claim may be in line, and how long a lease lasts, that of a holder that dies the shortest; in seconds. */
const LINE_SECONDS = 120;
const TERM_SECONDS = 120;
const SHORT_TERM_SECONDS = 5;
const LEASES = 2;
/** A memory that expires is looked for this long. */
const FORGOTTEN_MS = 15_000;

/** An agent under a registered name: its handle is in every call. */
interface Actor {
  agent: Agent;
  name: string;
  call(tool: string, input: Record<string, unknown>): Promise<Record<string, unknown>>;
  write(tool: string, input: Record<string, unknown>): Promise<Record<string, unknown>>;
  /** Returns the code of the refusal. Throws CheckFailedError where there is none. */
  refused(tool: string, input: Record<string, unknown>): Promise<string>;
}

/** Two that talk, and one that only listens; each under a name of its own, also where one connection is all three. */
async function cast(stage: Stage, agent: Agent, other: Agent): Promise<[Actor, Actor, Actor]> {
  const one = await actorOf(stage, agent, agent.name);
  const two = await actorOf(stage, other, other === agent ? `${other.name}-too` : other.name);
  return [one, two, await actorOf(stage, other, `${other.name}-listener`)];
}

async function actorOf(stage: Stage, agent: Agent, role: string): Promise<Actor> {
  const name = `${stage.run}-${role}`;
  const known = stage.handles.get(name) ?? register(agent, name);
  stage.handles.set(name, known);
  const as = await known;
  return {
    agent,
    name,
    call: (tool, input) => agent.call(tool, { ...input, as }),
    write: async (tool, input) => {
      const { output, refusal } = await agent.write(tool, { ...input, as });
      if (refusal === undefined) return output;
      throw new CheckFailedError(`${tool} by ${name} was refused: ${refusal.code}: ${refusal.message} ${refusal.hint}`);
    },
    refused: async (tool, input) => {
      const { output, refusal } = await agent.attempt(tool, { ...input, as });
      if (refusal !== undefined) return refusal.code;
      throw new CheckFailedError(`${tool} by ${name} was not refused: ${JSON.stringify(output)}`);
    },
  };
}

/** Registers a name; a retry whose first answer was lost has no handle, and then the name is taken over. */
async function register(agent: Agent, name: string): Promise<string> {
  for (const takeover of [false, true]) {
    const { output, refusal } = await agent.write("agent_register", { name, type: TAG, takeover });
    if (typeof output["handle"] === "string") return output["handle"];
    if (refusal !== undefined && takeover)
      throw new CheckFailedError(`agent_register of ${name} was refused: ${refusal.code}: ${refusal.message}`);
  }
  throw new CheckFailedError(`agent_register of ${name} returned no handle`);
}

const idsIn = (output: Record<string, unknown>, member = "messages"): unknown[] =>
  (Array.isArray(output[member]) ? output[member] : []).map((each) => objectOf(each)["message"]);

function expectSame(what: string, found: unknown, expected: unknown): void {
  if (Bun.deepEquals(found, expected)) return;
  throw new CheckFailedError(`${what}: found ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`);
}

/** Begins a session and writes for all, for one, and for no one; the other one waits, finds, replies, acknowledges. */
async function converse(stage: Stage, agent: Agent, other: Agent, random: Random) {
  const { ledger, space } = stage;
  const [one, two, listener] = await cast(stage, agent, other);
  const created = await one.write("session_create", { purpose: `${TAG} ${stage.run}: ${words(random)}`, space });
  const session = String(created["session"]);
  ledger.began(session, one.name);
  const since = one.agent.position;
  const waiting = two.call("message_wait", { session, since, timeout_seconds: WAIT_SECONDS });
  const word = `w${crypto.randomUUID().slice(0, 13).replaceAll("-", "")}`;
  const say = async (by: Actor, text: string, more: Record<string, unknown>, to?: readonly string[]) => {
    const shared = to === undefined ? {} : { visibility: "private", to };
    const { message } = await by.write("message_post", { session, text, ...shared, ...more });
    ledger.reached(by.agent.position);
    return ledger.said(session, { id: String(message), by: by.name, to });
  };
  const asked = await say(one, `${words(random)} ${word}open`, { to: [two.name], ack: true, kind: "question" });
  const secret = await say(one, `${words(random)} ${word}shared`, {}, [two.name]);
  await say(one, `${words(random)} ${word}own`, {}, []);
  expectSame(`the first message of ${session} that ${two.name} waited for`, idsIn(await waiting, "events")[0], asked);
  const min_position = one.agent.position;
  for (const actor of [one, two, listener])
    expectSame(
      `the messages of ${session} for ${actor.name} at ${actor.agent.target}`,
      idsIn(await actor.call("message_list", { session, min_position })),
      ledger.readable(session, actor.name),
    );
  await checkFound(two, `${word}shared`, min_position, [secret]);
  for (const hidden of [`${word}shared`, `${word}own`]) await checkFound(listener, hidden, min_position, []);
  const code = await listener.refused("message_get", { session, message: secret, min_position });
  expectSame(`the refusal of ${secret}, which is not for ${listener.name}`, code, "not_found");
  const unacknowledged = { unacknowledged: true, limit: 200, min_position };
  if (!idsIn(await two.call("inbox", unacknowledged)).includes(asked))
    throw new CheckFailedError(`${asked} of ${session} is not in the inbox of ${two.name} at ${two.agent.target}`);
  await say(two, words(random), { parent: asked, kind: "answer" });
  await two.write("message_ack", { session, messages: [asked] });
  const after = { ...unacknowledged, min_position: two.agent.position };
  if (idsIn(await two.call("inbox", after)).includes(asked))
    throw new CheckFailedError(`${asked} of ${session} was acknowledged by ${two.name}, and still waits for it`);
  return { agent: agent.name, at: agent.target, did: `talked with ${other.name} in`, id: session };
}

/** Searches, and checks which messages are found. */
async function checkFound(actor: Actor, query: string, min_position: string, expected: readonly string[]) {
  const { hits } = await actor.call("search", { query, min_position });
  const found = (Array.isArray(hits) ? hits : []).map((hit) => objectOf(hit)["message"]);
  expectSame(`what ${actor.name} finds by ${query} at ${actor.agent.target}`, found, expected);
}

/** Holds a lease while it writes what several write; one in three dies, and the next one gets it after its time. */
async function takeTurns(stage: Stage, agent: Agent, other: Agent, random: Random) {
  const at = random.below(LEASES);
  const [one, two] = await cast(stage, agent, other);
  const dies = random.below(3) === 0;
  const fence = await turn(stage, one, at, dies ? SHORT_TERM_SECONDS : TERM_SECONDS, random);
  if (!dies) await writeAndRelease(stage, one, at, fence, random);
  const name = leaseOf(stage, at);
  const note = dies ? { note: `died with it, and ${other.name} waited` } : {};
  if (dies) {
    stage.ledger.died(name, fence);
    const next = await turn(stage, two, at, TERM_SECONDS, random);
    const late = { id: guardedBy(stage, at), content: "too late", fence };
    expectSame(`the refusal of a write with ${fence}`, await one.refused("context_put", late), "fence_stale");
    await writeAndRelease(stage, two, at, next, random);
  }
  return { agent: agent.name, at: agent.target, did: "took its turn at", id: name, ...note };
}

/** Acquires a lease, waits in line for it, and returns its fence. */
async function turn(stage: Stage, actor: Actor, at: number, seconds: number, random: Random): Promise<string> {
  const { ledger } = stage;
  const name = leaseOf(stage, at);
  const sinceMs = performance.now();
  const asked = { name, ttl_seconds: seconds, wait_seconds: LINE_SECONDS, for: words(random) };
  const claim = await actor.write("lease_acquire", asked);
  const fence = String(claim["fence"]);
  for (let state = claim["granted"] === true ? "granted" : "waiting"; state !== "granted"; ) {
    const waited = await actor.call("lease_wait", { name, fence, timeout_seconds: WAIT_SECONDS });
    state = String(waited["state"]);
    if (state === "gone") throw new CheckFailedError(`the place of ${actor.name} in the line for ${name} is gone`);
  }
  ledger.granted(name, { fence, by: actor.name, sinceMs, safeMs: Number(claim["safe_seconds"]) * 1000 });
  return fence;
}

/** Writes what only the holder may write, and gives the lease back. */
async function writeAndRelease(stage: Stage, actor: Actor, at: number, fence: string, random: Random): Promise<void> {
  await put(stage, actor.agent, guardedBy(stage, at), { by: actor.name, words: words(random) }, [], { fence });
  const name = leaseOf(stage, at);
  // Before it is asked for: the next one may have it before the answer is here.
  stage.ledger.released(name, fence);
  await actor.write("lease_release", { name, fence });
}

/** Remembers for itself, for all, and for a second; the other one finds what is shared, and nothing else. */
async function remember(stage: Stage, agent: Agent, other: Agent, random: Random) {
  const { space } = stage;
  const [one, two] = await cast(stage, agent, other);
  const key = `${stage.run}-${crypto.randomUUID().slice(0, 8)}`;
  const value = `${words(random)} ${key}`;
  const store = (more: Record<string, unknown>) =>
    one.write("memory_store", { value, key, space, tags: [TAG], kind: "fact", ...more });
  await store({ scope: "own" });
  const own = { key, space, scope: "own", min_position: one.agent.position };
  expectSame(`the memory ${key} of ${one.name}`, (await one.call("memory_get", own))["value"], value);
  expectSame(`the refusal of a memory of ${one.name}`, await two.refused("memory_get", own), "not_found");
  await store({ scope: "shared" });
  const shared = { key, space, scope: "shared", min_position: one.agent.position };
  expectSame(`the shared memory ${key}`, (await two.call("memory_get", shared))["value"], value);
  const { hits } = await two.call("search", { query: key, space, kind: "context", min_position: one.agent.position });
  const found = (Array.isArray(hits) ? hits : []).map((hit) => objectOf(hit)["id"]);
  expectSame(`what ${two.name} finds by ${key}`, found, [[space, "memory", "shared", key].join("/")]);
  await store({ scope: "own", key: `${key}-short`, expires_in: 1 });
  const endMs = performance.now() + FORGOTTEN_MS;
  for (;;) {
    const { refusal } = await agent.attempt("memory_get", {
      ...own,
      key: `${key}-short`,
      as: await stage.handles.get(one.name),
    });
    if (refusal?.code === "not_found") break;
    if (performance.now() > endMs)
      throw new CheckFailedError(`${key}-short was to expire after a second, and is there`);
    await pause(200);
    // Log time goes on with writes.
    await store({ scope: "own" });
  }
  for (const scope of ["own", "shared"]) await one.write("memory_delete", { key, space, scope });
  return { agent: agent.name, at: agent.target, did: "remembered and forgot", id: key };
}

/** The scenes. */
export const TEAM_SCENES: readonly [Scene, ...Scene[]] = [converse, takeTurns, remember];

/** Checks that each target shows the acknowledged messages of all sessions in their order. Returns their number. */
export async function checkSessions(stage: Stage, targets: number): Promise<number> {
  const { ledger, agents } = stage;
  for (const agent of agents.slice(0, targets)) {
    const actor = await actorOf(stage, agent, `${agent.name}-listener`);
    for (const session of ledger.sessions) {
      const input = { session, limit: 500, min_position: ledger.position };
      expectSame(
        `the messages of ${session} at ${agent.target}`,
        idsIn(await actor.call("message_list", input)),
        ledger.readable(session, actor.name),
      );
    }
  }
  return ledger.sessions.length;
}

/** Closes the sessions and gives the names of agents back. */
export async function leave(stage: Stage): Promise<void> {
  const [agent] = stage.agents;
  if (agent === undefined) return;
  for (const session of stage.ledger.sessions) await agent.write("session_close", { session });
  for (const name of stage.handles.keys()) await agent.write("agent_leave", { name });
}

function leaseOf({ space, run }: Stage, at: number): string {
  return `${space}/${run}/turns-${at}`;
}

function guardedBy({ space, run }: Stage, at: number): string {
  return `${space}/${run}/guarded-${at}`;
}
