// A change as callers see it, in waits, streams and feeds.

import { z } from "zod";
import { timeOf } from "../../lib/time-of.ts";
import type { Change } from "../../log/changes.ts";
import { formatPosition } from "../../log/position.ts";
import { etagOf } from "./context-etag.ts";
import { agentActed, clientSaid } from "./rows.ts";

/** Schema of a public change. */
export const publicChange = z.object({
  position: z.string().describe("Pass it as since to follow from here."),
  time: z.string(),
  caller: z.string(),
  via: z.string(),
  client: clientSaid,
  agent: agentActed,
  operation: z.string(),
  target: z.string().describe("Id of the context."),
  version: z.number().int(),
  etag: z.string().describe("Of the written version; empty for a deletion."),
  outcome: z
    .string()
    .describe(
      "created, updated, patched, restored, shared, deleted, expired, purged, imported, superseded or current.",
    ),
});

/** A public change. */
export type PublicChange = z.infer<typeof publicChange>;

/** Outcomes after which there is no text. */
const WITHOUT_TEXT: ReadonlySet<string> = new Set(["deleted", "expired", "purged"]);

/** Returns the public form of a change. */
export function publicChangeOf(change: Change): PublicChange {
  const withoutEtag = change.contentHash === "" || WITHOUT_TEXT.has(change.outcome);
  return {
    position: formatPosition(change),
    time: timeOf(change.timeMs),
    caller: change.caller,
    via: change.via,
    ...(change.client === undefined ? {} : { client: change.client }),
    ...(change.agent === undefined ? {} : { agent: change.agent }),
    operation: change.operation,
    target: change.target,
    version: change.version,
    etag: withoutEtag ? "" : etagOf(change.version, change.contentHash),
    outcome: change.outcome,
  };
}

/** Which changes a follower wants and may see. */
export interface ChangeFilter {
  id?: string | undefined;
  prefix?: string | undefined;
  /** Reports whether the follower may see a change. Asked for each, since rights may change meanwhile. */
  maySee: (change: Change) => boolean;
}

/** Reports whether a change matches the filter. */
export function matchesFilter(change: Change, filter: ChangeFilter): boolean {
  if (filter.id !== undefined && change.target !== filter.id) return false;
  if (filter.prefix !== undefined && !change.target.startsWith(filter.prefix)) return false;
  return filter.maySee(change);
}
