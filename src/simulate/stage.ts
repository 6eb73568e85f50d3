// What scenes share: the state of a run, and how a context that has no concurrent writers is written.

import { type Agent, CheckFailedError } from "./agent.ts";
import type { Ledger } from "./ledger.ts";
import type { Random } from "./random.ts";
import type { SceneResult } from "./report.ts";

/** The tag of every context of a run: by it they are found and removed. */
export const TAG = "simulate";
const WORDS = ["ship", "measure", "retry", "review", "merge", "wait", "ask", "note", "split", "rest"] as const;

/** The state of a run that its scenes share. */
export interface Stage {
  space: string;
  /** Name of this run; part of every id. */
  run: string;
  ledger: Ledger;
  agents: readonly Agent[];
  /** How many counts on its board were acknowledged to each agent. */
  acknowledged: Map<Agent, number>;
  /** Handoffs so far. */
  handedOff: number;
  /** Handles of registered agents, by name. */
  handles: Map<string, Promise<string>>;
}

/** A scene of one agent, with another one where it takes two. */
export type Scene = (
  stage: Stage,
  agent: Agent,
  other: Agent,
  random: Random,
) => Promise<Omit<SceneResult, "round" | "ms">>;

/** Writes the next version of a context that has no concurrent writers. */
export async function put(
  stage: Stage,
  agent: Agent,
  id: string,
  content: unknown,
  tags: readonly string[] = [],
  more: Record<string, unknown> = {},
) {
  const newest = stage.ledger.newest(id);
  const { output, refusal } = await agent.write("context_put", {
    id,
    content,
    tags: [TAG, ...tags],
    ...(newest === undefined ? { if_none_match: "*" } : { if_match: newest.etag }),
    ...more,
  });
  if (refusal !== undefined) throw refused("context_put", id, refusal);
  return stage.ledger.acknowledge(id, agent.name, newest?.version ?? 0, output, content);
}

/** Returns the error for a refusal that cannot be right. */
export function refused(
  tool: string,
  id: string,
  { code, message, hint }: { code: string; message: string; hint: string },
) {
  return new CheckFailedError(`${tool} of ${id}, which has no other writers, was refused: ${code}: ${message} ${hint}`);
}

/** Returns some words. */
export function words(random: Random): string {
  return Array.from({ length: 3 + random.below(5) }, () => random.pick(WORDS)).join(" ");
}
