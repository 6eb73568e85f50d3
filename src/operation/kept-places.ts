// Places below `memory/` in every space, where features keep contexts under ids that follow from names and keys. Nobody
// makes a context there that would take such an id from others: a shared place has contexts for all readers alone, and
// the place of an agent or of a caller has those that it made.

import { foldedAgentName } from "../lib/agent-key.ts";
import { Fault } from "../lib/fault.ts";
import { isPlainSegment } from "../lib/id-syntax.ts";
import { sha256Hex } from "../lib/sha256.ts";
import type { Viewer } from "./viewer.ts";

const PLACE = /^[^/]+\/memory\/(shared|sessions|graph|agents)\/([^/]*)/u;
/** Longest name of a caller that is a segment as it is. */
const MAX_NAME = 64;

/**
 * Returns the segment after `memory/agents/` of an agent, or of a caller itself. Names of callers have a colon, so they
 * differ from those of agents.
 */
export function ownerSegment(agent: string | undefined, caller: string): string {
  if (agent !== undefined) return foldedAgentName(agent);
  return isPlainSegment(caller) && caller.length <= MAX_NAME ? caller : `caller:${sha256Hex(caller).slice(0, 16)}`;
}

/** Throws Fault `invalid_input` or `forbidden` for a new context that is not to be in the place that its id names. */
export function refuseForeignPlace(
  id: string,
  isPublic: boolean,
  { callers, agent }: Pick<Viewer, "callers" | "agent">,
): void {
  const [, place, segment = ""] = PLACE.exec(id) ?? [];
  if (place === undefined) return;
  if (place !== "agents") {
    if (!isPublic) throw forAll(id, place);
    return;
  }
  const own =
    agent === undefined ? callers.map((caller) => ownerSegment(undefined, caller)) : [ownerSegment(agent, "")];
  if (!own.includes(segment)) throw notOwn(id, own[0] ?? "");
}

function forAll(id: string, place: string): Fault {
  const why = `memory/${place}/ has what all read who read the space`;
  return new Fault("invalid_input", `${JSON.stringify(id)} cannot have readers of its own: ${why}`, {
    hint: "Leave visibility and to out, or write under another id.",
    details: { field: "visibility" },
  });
}

function notOwn(id: string, own: string): Fault {
  return new Fault("forbidden", `${JSON.stringify(id)} is in the place of another agent or caller`, {
    hint: `Yours is memory/agents/${own}/; write there, or under another id.`,
  });
}
