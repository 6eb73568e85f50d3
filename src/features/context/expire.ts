// context_expire: contexts whose time is over get a tombstone. Reads take them for deleted from that time on.

import type { Changed } from "../../log/log.ts";
import { expiring, MAX_EXPIRED } from "../../operation/expiring.ts";
import { appendTombstone } from "./append-version.ts";
import { DETAILS_LEVEL } from "./details.ts";
import type { ContextRow } from "./rows.ts";
import type { StampedLimits } from "./stamped-limits.ts";

/** Most changes of one command: each context may have superseded others. */
const MAX_CHANGES = 4 * MAX_EXPIRED;

/** A tombstone removes no versions; maintenance does, by the limits of the fleet. */
const KEEP_ALL: StampedLimits = { documentBytes: 0, versions: 0, ageMs: 0, callerBytes: 0, spaceBytes: 0 };

const DUE = "SELECT * FROM contexts WHERE expires_at > 0 AND deleted = 0";

/** Contexts that expire. */
export const contextsExpiring = expiring({
  name: "context_expire",
  level: DETAILS_LEVEL,
  title: "Remove expired contexts",
  due: (reader) => reader.get<ContextRow>(`${DUE} ORDER BY expires_at LIMIT 1`)?.expires_at,
  expire(tx, stamp) {
    const changes: Changed[] = [];
    const heads = tx.all<ContextRow>(
      `${DUE} AND expires_at <= ? ORDER BY expires_at, id LIMIT +?`,
      stamp.timeMs,
      MAX_EXPIRED,
    );
    let removed = 0;
    for (const head of heads) {
      const at = { ...stamp, seq: stamp.seq + changes.length };
      changes.push(...appendTombstone(tx, head, "expired", KEEP_ALL, at).changes);
      removed += 1;
      if (changes.length >= MAX_CHANGES) break;
    }
    return { removed, changes };
  },
});
