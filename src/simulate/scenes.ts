// What agents do with contexts: write, patch with conflicts, wait, hand off. A scene uses MCP tools and prompts only,
// and checks what they return.

import { counted } from "../lib/counted.ts";
import { pause } from "../lib/pause.ts";
import { type Agent, CheckFailedError, objectOf } from "./agent.ts";
import type { Random } from "./random.ts";
import { put, refused, type Scene, type Stage, words } from "./stage.ts";
import { TEAM_SCENES } from "./team-scenes.ts";

/** Time limit of a wait, in seconds: by then it must have seen the write. */
const WAIT_SECONDS = 20;
/** Attempts of a patch that meets conflicts. */
const MAX_TRIES = 200;
/** Agents that share a board: more would only measure how often they collide. */
const PER_BOARD = 8;

/** Writes its notes, then reads them at its own target, and at the other agent's target at that position. */
async function write(stage: Stage, agent: Agent, other: Agent, random: Random) {
  const id = `${stage.space}/${stage.run}/${agent.name}/notes`;
  const written = await put(stage, agent, id, { by: agent.name, words: words(random) });
  stage.ledger.checkRead(id, `${agent.target}, where it was just written,`, await agent.call("context_get", { id }));
  const { position } = stage.ledger;
  stage.ledger.checkRead(id, other.target, await other.call("context_get", { id, min_position: position }));
  return { agent: agent.name, at: agent.target, did: "wrote and read", id, version: written.version };
}

/** Increments its count on a board that others count on too; after a conflict it reads and tries again. */
async function patch(stage: Stage, agent: Agent, _other: Agent, random: Random) {
  const { ledger, acknowledged } = stage;
  const id = boardOf(stage, stage.agents.indexOf(agent));
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const least = ledger.newest(id)?.version ?? 0;
    const found = await agent.call("context_get", { id, min_position: ledger.position });
    const { version, etag } = found;
    if (typeof version !== "number" || version < least)
      throw new CheckFailedError(
        `${id} at ${agent.target} is version ${String(version)}, and ${least} was acknowledged before it was read`,
      );
    const content = objectOf(found["content"]);
    const counts = objectOf(content["counts"]);
    const mine = acknowledged.get(agent) ?? 0;
    if ((counts[agent.name] ?? 0) !== mine)
      throw new CheckFailedError(
        `${id} version ${version} at ${agent.target} counts ${String(counts[agent.name] ?? 0)} patches ` +
          `of ${agent.name}, and ${mine} were acknowledged: an update is lost`,
      );
    const change = { counts: { [agent.name]: mine + 1 }, last: `${agent.name} ${random.below(1000)}` };
    const { output, refusal } = await agent.write("context_patch", {
      id,
      format: "merge",
      patch: change,
      if_match: etag,
    });
    if (refusal === undefined) {
      const after = { ...content, counts: { ...counts, ...change.counts }, last: change.last };
      ledger.acknowledge(id, agent.name, version, output, after);
      acknowledged.set(agent, mine + 1);
      const note = tries === 0 ? {} : { note: counted(tries, "conflict") };
      return { agent: agent.name, at: agent.target, did: "counted on", id, version: version + 1, ...note };
    }
    if (refusal.code !== "version_mismatch") throw refused("context_patch", id, refusal);
    ledger.conflicts++;
    await pause(random.below(5 * (tries + 1)));
  }
  throw new CheckFailedError(`${agent.name} could not apply its patch of ${id} within ${MAX_TRIES} attempts`);
}

/** Waits for a write of another agent. The wait must end whether it began before or after the write. */
async function wait(stage: Stage, agent: Agent, other: Agent, random: Random) {
  const id = `${stage.space}/${stage.run}/${agent.name}/bell`;
  await agent.call("whoami", {});
  const since = agent.position;
  const startMs = performance.now();
  const waiting = () => agent.call("context_wait", { id, since, timeout_seconds: WAIT_SECONDS });
  const ring = () => put(stage, other, id, { rung_by: other.name, number: random.below(1000) });
  let woken: Record<string, unknown>;
  let rung: { version: number };
  if (random.next() < 0.5) [woken, rung] = await Promise.all([waiting(), ring()]);
  else {
    rung = await ring();
    woken = await waiting();
  }
  const changes = Array.isArray(woken["changes"]) ? woken["changes"].map(objectOf) : [];
  if (!changes.some(({ target, version }) => target === id && version === rung.version))
    throw new CheckFailedError(
      `${agent.name} at ${agent.target} waited for ${id} since ${since}, ` +
        `and ${Math.round(performance.now() - startMs)} ms later was not notified of version ${rung.version} ` +
        `by ${other.name}: ${JSON.stringify(woken)}`,
    );
  return { agent: agent.name, at: agent.target, did: `was woken by ${other.name} through`, id, version: rung.version };
}

/** Hands work over with the prompt `handoff`; the other agent primes itself, finds the handoff and takes it. */
async function handOff(stage: Stage, agent: Agent, other: Agent, random: Random) {
  const { space, run, ledger } = stage;
  const topic = `${run} ${agent.name} ${++stage.handedOff}`;
  const text = await agent.prompt("handoff", { topic, to: other.name, space, notes: words(random) });
  const quoted = /^ *id: ("[^\n]*")$/m.exec(text)?.[1];
  const id: unknown = quoted === undefined ? undefined : JSON.parse(quoted);
  if (typeof id !== "string" || !id.startsWith(`${space}/`))
    throw new CheckFailedError(
      `the prompt handoff at ${agent.target} names no context below ${space}/: ${text.slice(0, 300)}`,
    );
  const handoff = { handoff: 1, topic, to: other.name, status: "open", goal: words(random), next: [words(random)] };
  await put(stage, agent, id, handoff, ["handoff"]);
  const primed = await other.prompt("prime", { space });
  if (!primed.includes(space))
    throw new CheckFailedError(`the prompt prime at ${other.target} says nothing of the space ${space}`);
  const found = await listIds(other, `${space}/handoff/`, "handoff", ledger.position);
  if (!found.has(id))
    throw new CheckFailedError(`${other.name} at ${other.target} does not find the handoff ${id} of ${agent.name}`);
  const read = await other.call("context_get", { id, min_position: ledger.position });
  ledger.checkRead(id, other.target, read);
  const taken = { status: "taken", taken_by: other.name };
  const { output, refusal } = await other.write("context_patch", {
    id,
    format: "merge",
    patch: taken,
    if_match: read["etag"],
  });
  if (refusal !== undefined) throw refused("context_patch", id, refusal);
  const { version } = ledger.acknowledge(id, other.name, 1, output, { ...handoff, ...taken });
  return { agent: agent.name, at: agent.target, did: `handed over to ${other.name} by`, id, version };
}

/** Each scene once, for the first rounds. */
export const FIRST: readonly Scene[] = [write, patch, wait, handOff, ...TEAM_SCENES];

/** All scenes; those that are played more often occur more often. */
export const SCENES: readonly [Scene, ...Scene[]] = [
  ...([write, write, patch, patch, patch, wait, handOff] as const),
  ...TEAM_SCENES,
];

/** Creates the boards. */
export async function setUp(stage: Stage): Promise<void> {
  const [first] = stage.agents;
  if (first === undefined) return;
  for (let at = 0; at < stage.agents.length; at += PER_BOARD) {
    const id = boardOf(stage, at);
    if (stage.ledger.newest(id) === undefined) await put(stage, first, id, { counts: {}, last: "" });
  }
}

/** Returns the ids of all contexts with a prefix and a tag. */
export async function listIds(agent: Agent, prefix: string, tag: string, position: string): Promise<Set<string>> {
  const ids = new Set<string>();
  let cursor: unknown;
  do {
    const page = await agent.call("context_list", {
      prefix,
      tag,
      limit: 500,
      fields: ["id"],
      ...(position === "" ? {} : { min_position: position }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    for (const one of Array.isArray(page["contexts"]) ? page["contexts"] : []) ids.add(String(objectOf(one)["id"]));
    cursor = page["cursor"];
  } while (typeof cursor === "string");
  return ids;
}

function boardOf({ space, run }: Stage, agentAt: number): string {
  return `${space}/${run}/board-${Math.floor(agentAt / PER_BOARD)}`;
}
