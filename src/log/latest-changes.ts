// The newest change of each target of the fleet, and the newest purge of each context: collected while the chain is
// verified, so that rows can be compared with what made them last.

import type { Reader } from "../store/store.ts";
import type { ChangeRow } from "./change-row.ts";

/** What the verified changes say about rows. Targets of the fleet are few; those of contexts are not kept. */
export class LatestChanges {
  /** The newest change of each target that begins with `fleet/`; approvals apart from other changes of a member. */
  readonly fleet = new Map<string, ChangeRow>();
  /** Seq of the newest purge by context. */
  readonly purged = new Map<string, number>();
  /** Changes up to here were removed. */
  floor = 0;
  #seq = 0;

  add(row: ChangeRow): void {
    this.#seq = row.seq;
    if (row.outcome === "purged") this.purged.set(row.target, row.seq);
    if (row.target.startsWith("fleet/")) this.fleet.set(keyOf(row), row);
  }

  /** Takes the changes that were applied since. Called in the turn in which the rows are read. */
  catchUp(reader: Reader): void {
    this.floor = reader.get<{ floor: number }>("SELECT floor FROM head")?.floor ?? 0;
    for (const row of reader.all<ChangeRow>("SELECT * FROM changes WHERE seq > ? ORDER BY seq", this.#seq))
      this.add(row);
  }
}

function keyOf({ target, outcome }: ChangeRow): string {
  return outcome === "approved" ? `${target} approved` : target;
}
