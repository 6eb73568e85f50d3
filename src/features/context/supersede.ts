// Which contexts supersede which: an index of what the newest versions say (`supersedes`), written in apply. That a
// context is superseded is part of it, so each time that this changes is a change of it: watchers and edges follow.

import { WRITE_ROW } from "../../lib/work.ts";
import type { Changed } from "../../log/log.ts";
import type { ApplyStamp } from "../../operation/define.ts";
import type { Writer } from "../../store/store.ts";
import { audienceOf, isSameAudience } from "./audience.ts";
import { tagsOf } from "./labels.ts";
import { type ContextRow, headAt, storedHead, successorsOf } from "./rows.ts";

/**
 * Makes the index say what the newest version of a context supersedes, after its head was written. `before`: the head
 * before. Returns the changes of the contexts that are there and have one successor more or less.
 */
export function writeSuperseded(
  tx: Writer,
  after: ContextRow,
  before: ContextRow | undefined,
  stamp: ApplyStamp,
): Changed[] {
  const { id: successor } = after;
  const [was, is] = [tagsOf(before?.supersedes ?? ""), tagsOf(after.supersedes ?? "")];
  if (was.length === 0 && is.length === 0) return [];
  const gone = was.filter((id) => !is.includes(id));
  const added = is.filter((id) => !was.includes(id));
  const isForOthers = before !== undefined && (!isSameAudience(before, after) || before.author !== after.author);
  const touched = [...gone, ...added, ...(isForOthers ? is.filter((id) => was.includes(id)) : [])];
  if (touched.length === 0) return [];
  stamp.work.spend(2 * WRITE_ROW * (gone.length + added.length));
  for (const id of gone) tx.run("DELETE FROM superseded WHERE id = ? AND successor = ?", id, successor);
  for (const id of added) tx.run("INSERT INTO superseded (id, successor) VALUES (?,?)", id, successor);
  const countsNow = (id: string) => is.includes(id) && succeedsForAll(tx, after, id);
  const counted = (id: string) => before !== undefined && was.includes(id) && succeedsForAll(tx, before, id);
  return touched.filter((id) => countsNow(id) !== counted(id)).flatMap((id) => changeOf(tx, id, stamp));
}

/** Reports whether a context counts as one that supersedes another, as `successorsOf` has it. */
function succeedsForAll(tx: Writer, successor: ContextRow, id: string): boolean {
  const superseded = storedHead(tx, id) ?? {};
  if (audienceOf(successor).visibility !== "public") return isSameAudience(successor, superseded);
  const { visibility, owner } = audienceOf(superseded);
  return visibility === "public" || successor.author === owner;
}

function changeOf(tx: Writer, id: string, { timeMs }: ApplyStamp): Changed[] {
  const head = headAt(tx, id, timeMs);
  if (head === undefined || head.deleted !== 0) return [];
  const outcome = successorsOf(tx, id).length === 0 ? "current" : "superseded";
  return [{ target: id, version: head.version, contentHash: head.hash, outcome }];
}
