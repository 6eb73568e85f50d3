// Asks the leader to append events to a stream, from any node.

import type { Appended } from "../append.ts";
import type { AppendSteps } from "../event-log.ts";
import type { EventItem } from "../item.ts";

/** Name of the operation that appends, at the leader. */
export const STORE = "event_store";

/**
 * Appends. It does not end with the call: it has events of others. No key stands for what is asked here, so each event
 * has the trace of its call.
 */
export async function storeEvents(
  { ask, traced = (item) => item }: AppendSteps,
  space: string,
  items: readonly EventItem[],
): Promise<Appended> {
  const { signal } = new AbortController();
  return (await ask(STORE, { space, events: items.map(traced) }, signal)) as unknown as Appended;
}
