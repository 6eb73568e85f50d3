// What Cairn does as events: appends an event for each change that the catalogue names, in its transaction. An event is
// made of its change and nothing else, so it needs no change row of its own, and a check can compare the two.

import { spaceOf } from "../../access/space.ts";
import type { Change } from "../../log/changes.ts";
import type { AfterChanges } from "../../log/log.ts";
import { type OwnEventKind, ownDataOf, ownTypeOf, ownWanted } from "../../operation/own-events.ts";
import { ANYONE, type ChangeRules } from "../../operation/viewer.ts";
import { appendRows } from "./append.ts";
import { sizeOf } from "./item.ts";
import { addWaiting, appendsHere, waitingCount } from "./moves/place.ts";
import { EVENT_LEVEL, type EventRow, eventHead } from "./rows.ts";

/** The sender of these events: the fleet itself. */
export const OWN_CALLER = "node";
const SOURCE = "cairn";
/** The source as readers see it. */
export const OWN_SOURCE = `${OWN_CALLER}/${SOURCE}`;

/**
 * Returns the step after each command that appends its events. A change that not everyone in its space may see has
 * none, as far as `rules` know when it is made.
 */
export function ownEvents(kinds: ReadonlyMap<string, OwnEventKind>, rules: ChangeRules): AfterChanges {
  const typeOf = ownTypeOf(kinds);
  const isWanted = ownWanted();
  return (tx, changes, level) => {
    if (level < EVENT_LEVEL) return;
    const typed = changes.flatMap((change) => {
      const type = typeOf(change);
      return type !== undefined && isWanted(tx, type) ? [{ change, type }] : [];
    });
    const open = typed.filter(({ change }) => rules.get(change.operation)?.(change, ANYONE, tx) ?? true);
    if (open.length === 0) return;
    const head = eventHead(tx);
    // Those that waited come first.
    const isHere = appendsHere(tx) && waitingCount(tx) === 0;
    const rows = open.map(({ change, type }, index) => ownRow(change, type, head.tail + index + 1));
    if (!isHere) {
      for (const [index, row] of rows.entries())
        addWaiting(tx, row, open[index]?.change ?? { seq: 0, caller: OWN_CALLER });
      return;
    }
    const last = changes.at(-1);
    appendRows(tx, head, rows, { seq: last?.seq ?? 0, timeMs: last?.timeMs ?? 0 });
  };
}

/** Returns the event of a change. */
function ownRow(change: Change, type: string, offset: number): EventRow {
  const id = `${change.epoch}-${change.seq}`;
  const data = JSON.stringify(ownDataOf(change));
  const subject = change.target;
  const size = sizeOf({ id, source: SOURCE, type, subject, extensions: {}, kind: "json", data }, "");
  return {
    ...{ offset, space: spaceOf(change.target), caller: OWN_CALLER, agent: "", node: "", source: OWN_SOURCE },
    ...{ id, type, subject, time: "", log_time: change.timeMs, content_type: "", attributes: "", size },
    ...{ kind: "json" as const, data },
  };
}

/** Reports whether an event is the one of a change. Its type is that of the catalogue of then. */
export function isOwnEventOf(row: EventRow, change: Change): boolean {
  const made = ownRow(change, row.type, row.offset);
  return (
    row.type.startsWith("cairn.") && Object.entries(made).every(([key, value]) => row[key as keyof EventRow] === value)
  );
}
