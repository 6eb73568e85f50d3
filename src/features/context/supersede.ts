// Which contexts supersede which: an index of what the newest versions say (`supersedes`), written in apply. That a
// context is superseded is part of it, so each time that this changes is a change of it: watchers and edges follow.

import { WRITE_ROW } from "../../lib/work.ts";
import type { Changed } from "../../log/log.ts";
import type { ApplyStamp } from "../../operation/define.ts";
import type { Writer } from "../../store/store.ts";
import { tagsOf } from "./labels.ts";
import { type ContextRow, headAt, successorsOf } from "./rows.ts";

/**
 * Makes the index say what the newest version of a context supersedes. `before`: framed ids of the version before.
 * Returns the changes of the contexts that are there and have one successor more or less.
 */
export function writeSuperseded(
  tx: Writer,
  { id: successor, supersedes = "" }: Pick<ContextRow, "id" | "supersedes">,
  before: string,
  stamp: ApplyStamp,
): Changed[] {
  if (supersedes === before) return [];
  const [was, is] = [tagsOf(before), tagsOf(supersedes)];
  const gone = was.filter((id) => !is.includes(id));
  const added = is.filter((id) => !was.includes(id));
  stamp.work.spend(2 * WRITE_ROW * (gone.length + added.length));
  for (const id of gone) tx.run("DELETE FROM superseded WHERE id = ? AND successor = ?", id, successor);
  for (const id of added) tx.run("INSERT INTO superseded (id, successor) VALUES (?,?)", id, successor);
  return [...gone, ...added].flatMap((id) => changeOf(tx, id, stamp));
}

function changeOf(tx: Writer, id: string, { timeMs }: ApplyStamp): Changed[] {
  const head = headAt(tx, id, timeMs);
  if (head === undefined || head.deleted !== 0) return [];
  const outcome = successorsOf(tx, id).length === 0 ? "current" : "superseded";
  return [{ target: id, version: head.version, contentHash: head.hash, outcome }];
}
