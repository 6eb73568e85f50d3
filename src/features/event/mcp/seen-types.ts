// The types of the newest events, by their spaces: what subscriptions may name. Types are those that senders use; no
// table has them.

import { Fault } from "../../../lib/fault.ts";
import { nearest } from "../../../lib/nearest.ts";
import { LOOK_AT_ROW } from "../../../lib/work.ts";
import type { CallContext } from "../../../operation/define.ts";
import { OWN_TYPES, ownWanted } from "../../../operation/own-events.ts";
import type { Services } from "../../../operation/services.ts";
import type { Reader } from "../../../store/store.ts";
import { EVENT_LOG, type EventLog } from "../event-log.ts";
import { ANY_EVENT } from "./event-type.ts";

/** How many of the newest events are looked at. */
const NEWEST = 4096;
/**
 * Names that are listed. A list of names reads like the words of the server, so a sender cannot put a sentence there;
 * any other type is met by ANY_EVENT.
 */
const PLAIN = /^[A-Za-z0-9][A-Za-z0-9._/:-]{0,127}$/;

/** Returns the types of the newest events that the caller may see, each with its spaces, sorted by name. */
export async function seenTypes(
  log: EventLog,
  { visible, spend }: Pick<CallContext, "visible" | "spend">,
): Promise<Map<string, string[]>> {
  const { tail, floor } = log.head();
  const after = Math.max(floor, tail - NEWEST);
  spend(LOOK_AT_ROW * (tail - after));
  const found = new Map<string, string[]>();
  for (const { type, space } of await log.types(after)) {
    if (!PLAIN.test(type) || type === ANY_EVENT || !visible(space)) continue;
    found.set(type, [...(found.get(type) ?? []), space]);
  }
  return found;
}

/** Returns the types of events of Cairn itself that the fleet publishes, each with when there is one. */
export function ownTypes(node: Services, reader: Reader): Map<string, string> {
  const isWanted = ownWanted();
  const kinds = [...(node.find(OWN_TYPES) ?? [])].filter(([type]) => isWanted(reader, type));
  return new Map(kinds.map(([type, { when }]) => [type, when]));
}

/**
 * Throws Fault `not_found` for a type that no event has that the caller may see. Whoever comes back with a cursor knew
 * it when it had events.
 */
export async function refuseUnknown(
  node: Services,
  reader: Reader,
  name: string,
  context: Pick<CallContext, "visible" | "spend">,
): Promise<void> {
  const own = ownTypes(node, reader);
  if (name === ANY_EVENT || own.has(name)) return;
  const known = await seenTypes(node.get(EVENT_LOG), context);
  if (known.has(name)) return;
  const near = nearest(name, [...own.keys(), ...known.keys()]);
  const guess = near === undefined ? "" : `Did you mean ${near}? `;
  throw new Fault("not_found", `No recent event that you may read has the type ${JSON.stringify(name.slice(0, 80))}`, {
    hint: `${guess}${ANY_EVENT} takes every event of a space, also those of types that are still to come.`,
  });
}
