// Which events a reader wants, and may see: the right to read an event is that to read its space.

import type { CallContext } from "../../operation/define.ts";
import type { EventRow } from "./rows.ts";

/** What a reader wants; what is left out is not asked for. */
export interface Chosen {
  space?: string | undefined;
  types?: readonly string[] | undefined;
  source?: string | undefined;
  subject?: string | undefined;
  /** false: not what the reader sent itself. */
  own?: boolean | undefined;
}

/** What of an event decides. */
type ChosenRow = Pick<EventRow, "space" | "type" | "source" | "subject" | "caller" | "agent">;

/** Returns the test of an event for a reader. */
export function chooser(
  wanted: Chosen,
  context: Pick<CallContext, "visible" | "author" | "agent">,
): (row: ChosenRow) => boolean {
  const { space, types, source, subject, own = true } = wanted;
  const { author, agent } = context;
  return (row) =>
    (space === undefined || row.space === space) &&
    (types === undefined || types.some((pattern) => matches(pattern, row.type))) &&
    (source === undefined || matches(source, row.source)) &&
    (subject === undefined || matches(subject, row.subject)) &&
    (own || row.caller !== author || row.agent !== (agent?.name ?? "")) &&
    context.visible(row.space);
}

/** `*` at the end stands for any end. */
function matches(pattern: string, value: string): boolean {
  return pattern.endsWith("*") ? value.startsWith(pattern.slice(0, -1)) : value === pattern;
}
