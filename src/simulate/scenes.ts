// What agents do: write, patch with conflict, wait, hand off. Each scene acts by MCP tools and prompts alone, and checks what it is told.

import { type Agent, objectOf, Wrong } from "./agent.ts";
import type { Ledger } from "./ledger.ts";
import type { Random } from "./random.ts";
import type { Deed } from "./tell.ts";

/** Every context of a run has it, so that it can be found again and removed. */
export const TAG = "simulate";
/** A wait that is not woken in this time, in seconds, is wrong. */
const WAKE_SECONDS = 20;
/** Tries of a patch that others are faster than. */
const MAX_TRIES = 200;
/** Agents that share a board. */
const PER_BOARD = 8;
const WORDS = ["ship", "measure", "retry", "review", "merge", "wait", "ask", "note", "split", "rest"] as const;

/** Where a run happens. */
export interface Stage {
  space: string;
  /** Name of this run; part of every id. */
  run: string;
  ledger: Ledger;
  agents: readonly Agent[];
  /** How often each agent was acknowledged to have counted on its board. */
  counted: Map<Agent, number>;
  /** Handoffs so far. */
  handedOff: number;
}

/** A scene of one agent, with one of the others where it takes two. */
export type Scene = (stage: Stage, agent: Agent, other: Agent, random: Random) => Promise<Omit<Deed, "round" | "ms">>;

/** Writes its notes, and reads them here at once, and elsewhere at that position. */
async function write(stage: Stage, agent: Agent, other: Agent, random: Random) {
  const id = `${stage.space}/${stage.run}/${agent.name}/notes`;
  const written = await put(stage, agent, id, { by: agent.name, words: words(random) });
  stage.ledger.read(id, `${agent.place}, where it was just written,`, await agent.call("context_get", { id }));
  const { position } = stage.ledger;
  stage.ledger.read(id, other.place, await other.call("context_get", { id, min_position: position }));
  return { agent: agent.name, at: agent.place, did: "wrote and read", id, version: written.version };
}

/** Counts itself up on a board that others count on too; who was slower reads again and tries again. */
async function patch(stage: Stage, agent: Agent, _other: Agent, random: Random) {
  const { ledger, counted } = stage;
  const id = boardOf(stage, stage.agents.indexOf(agent));
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const least = ledger.newest(id)?.version ?? 0;
    const found = await agent.call("context_get", { id, min_position: ledger.position });
    const { version, etag } = found;
    if (typeof version !== "number" || version < least)
      throw new Wrong(
        `${id} at ${agent.place} is version ${String(version)}, and ${least} was acknowledged before it was read`,
      );
    const content = objectOf(found["content"]);
    const counts = objectOf(content["counts"]);
    const mine = counted.get(agent) ?? 0;
    if ((counts[agent.name] ?? 0) !== mine)
      throw new Wrong(
        `${id} version ${version} at ${agent.place} counts ${String(counts[agent.name] ?? 0)} patches of ${agent.name}, and ${mine} were acknowledged: an update is lost`,
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
      ledger.wrote(id, agent.name, version, output, after);
      counted.set(agent, mine + 1);
      const note = tries === 0 ? {} : { note: `${tries} ${tries === 1 ? "conflict" : "conflicts"} met` };
      return { agent: agent.name, at: agent.place, did: "counted on", id, version: version + 1, ...note };
    }
    if (refusal.code !== "version_mismatch") throw refused("context_patch", id, refusal);
    ledger.conflicts++;
    await Bun.sleep(random.below(5 * (tries + 1)));
  }
  throw new Wrong(`${agent.name} did not get its patch of ${id} in within ${MAX_TRIES} tries`);
}

/** Waits for what another one writes; whether it began before or after that, it must be woken. */
async function wait(stage: Stage, agent: Agent, other: Agent, random: Random) {
  const id = `${stage.space}/${stage.run}/${agent.name}/bell`;
  await agent.call("whoami", {});
  const since = agent.position;
  const startMs = performance.now();
  const waiting = () => agent.call("context_wait", { id, since, timeout_seconds: WAKE_SECONDS });
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
    throw new Wrong(
      `${agent.name} at ${agent.place} waited for ${id} since ${since}, and ${Math.round(performance.now() - startMs)} ms later was not told of version ${rung.version} by ${other.name}: ${JSON.stringify(woken)}`,
    );
  return { agent: agent.name, at: agent.place, did: `was woken by ${other.name} through`, id, version: rung.version };
}

/** Hands its work over by the prompt of that name; the other one asks what is here, finds it, and takes it. */
async function handOff(stage: Stage, agent: Agent, other: Agent, random: Random) {
  const { space, run, ledger } = stage;
  const topic = `${run} ${agent.name} ${++stage.handedOff}`;
  const text = await agent.prompt("handoff", { topic, to: other.name, space, notes: words(random) });
  const quoted = /^ *id: ("[^\n]*")$/m.exec(text)?.[1];
  const id: unknown = quoted === undefined ? undefined : JSON.parse(quoted);
  if (typeof id !== "string" || !id.startsWith(`${space}/`))
    throw new Wrong(`the prompt handoff at ${agent.place} names no context below ${space}/: ${text.slice(0, 300)}`);
  const handoff = { handoff: 1, topic, to: other.name, status: "open", goal: words(random), next: [words(random)] };
  await put(stage, agent, id, handoff, ["handoff"]);
  const primed = await other.prompt("prime", { space });
  if (!primed.includes(space)) throw new Wrong(`the prompt prime at ${other.place} says nothing of the space ${space}`);
  const found = await listed(other, `${space}/handoff/`, "handoff", ledger.position);
  if (!found.has(id))
    throw new Wrong(`${other.name} at ${other.place} does not find the handoff ${id} of ${agent.name}`);
  const read = await other.call("context_get", { id, min_position: ledger.position });
  ledger.read(id, other.place, read);
  const taken = { status: "taken", taken_by: other.name };
  const { output, refusal } = await other.write("context_patch", {
    id,
    format: "merge",
    patch: taken,
    if_match: read["etag"],
  });
  if (refusal !== undefined) throw refused("context_patch", id, refusal);
  const { version } = ledger.wrote(id, other.name, 1, output, { ...handoff, ...taken });
  return { agent: agent.name, at: agent.place, did: `handed over to ${other.name} by`, id, version };
}

/** Each scene once. */
export const FIRST: readonly Scene[] = [write, patch, wait, handOff];

/** The scenes, each as often as it is played. */
export const SCENES: readonly [Scene, ...Scene[]] = [write, write, patch, patch, patch, wait, handOff];

/** Writes the boards before anybody counts on them. */
export async function setUp(stage: Stage): Promise<void> {
  const [first] = stage.agents;
  if (first === undefined) return;
  for (let at = 0; at < stage.agents.length; at += PER_BOARD) {
    const id = boardOf(stage, at);
    if (stage.ledger.newest(id) === undefined) await put(stage, first, id, { counts: {}, last: "" });
  }
}

/** Ids of contexts below a prefix, all pages. */
export async function listed(agent: Agent, prefix: string, tag: string, position: string): Promise<Set<string>> {
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

/** Writes the next version of a context that nobody else writes meanwhile. */
async function put(stage: Stage, agent: Agent, id: string, content: unknown, tags: readonly string[] = []) {
  const newest = stage.ledger.newest(id);
  const { output, refusal } = await agent.write("context_put", {
    id,
    content,
    tags: [TAG, ...tags],
    ...(newest === undefined ? { if_none_match: "*" } : { if_match: newest.etag }),
  });
  if (refusal !== undefined) throw refused("context_put", id, refusal);
  return stage.ledger.wrote(id, agent.name, newest?.version ?? 0, output, content);
}

function refused(tool: string, id: string, { code, message, hint }: { code: string; message: string; hint: string }) {
  return new Wrong(`${tool} of ${id}, which nobody else writes meanwhile, was refused: ${code}: ${message} ${hint}`);
}

function boardOf({ space, run }: Stage, agentAt: number): string {
  return `${space}/${run}/board-${Math.floor(agentAt / PER_BOARD)}`;
}

function words(random: Random): string {
  return Array.from({ length: 3 + random.below(5) }, () => random.pick(WORDS)).join(" ");
}
