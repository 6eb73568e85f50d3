// Remarks on names that a write was addressed to and by which no one here is known, which a mistyped name is. The write
// is done by then: who comes later under that name may read it.

import { foldedAgentName } from "../lib/agent-key.ts";
import { Fault } from "../lib/fault.ts";
import { listed } from "../lib/listed.ts";
import { nearest } from "../lib/nearest.ts";
import { recipientOf } from "../operation/visibility.ts";
import { askNode } from "./client.ts";
import type { Invocation } from "./command.ts";
import { objectsOf, say } from "./output.ts";

const PAGE = 500;
/** Pages of the roster that are looked through; with more agents than that nothing is said. */
const MAX_PAGES = 10;

/**
 * Says on stderr which of these names are no agent of the roster, and no login of one, of a participant of the session
 * or of the caller. Tags are not looked up: no list has them. Says nothing where the lists cannot be read.
 */
export async function noteUnknown(invocation: Invocation, names: readonly string[], session?: string): Promise<void> {
  const wanted = [...new Set(names.map((name) => name.replace(/^@/, "").trim()))].filter(
    (name) => !recipientOf(name).startsWith("tag:"),
  );
  if (wanted.length === 0) return;
  try {
    const { agents, callers } = await knownTo(invocation, session);
    const known = new Set([...agents.map((name) => `agent:${foldedAgentName(name)}`), ...callers]);
    const unknown = wanted.filter((name) => !known.has(recipientOf(name)));
    if (unknown.length === 0) return;
    const near = unknown.length === 1 ? nearest(unknown[0] ?? "", agents) : undefined;
    const meant = near === undefined ? "cairn agents lists the agents" : `did you mean ${near}?`;
    say(`no agent or login ${listed(unknown.map((name) => JSON.stringify(name)))} is known here; ${meant}`);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
  }
}

/** Returns names of agents, and of callers. Throws Fault. */
async function knownTo(invocation: Invocation, session?: string): Promise<{ agents: string[]; callers: string[] }> {
  const agents: string[] = [];
  const callers = [String((await askNode(invocation, "whoami", {})).body["caller"])];
  let cursor: unknown;
  for (let page = 0; page === 0 || cursor !== undefined; page++) {
    if (page === MAX_PAGES) throw new Fault("too_large", "The roster is too long to look through");
    const { body } = await askNode(invocation, "agent_list", { limit: PAGE, ...(page === 0 ? {} : { cursor }) });
    for (const { name, caller } of objectsOf(body["agents"])) {
      agents.push(String(name));
      callers.push(String(caller));
    }
    cursor = body["cursor"];
  }
  if (session !== undefined) {
    const { body } = await askNode(invocation, "session_participants", { session, limit: PAGE });
    callers.push(...objectsOf(body["participants"]).map(({ author }) => String(author)));
  }
  return { agents, callers };
}
