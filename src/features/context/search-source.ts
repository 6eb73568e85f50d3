// What can be found of contexts: title, tags and text of the newest version of each.

import type { SearchSource } from "../../operation/search-source.ts";
import { recipientsOf, type VisibleRow } from "../../operation/visibility.ts";
import { audienceOf } from "./audience.ts";
import { tagsOf } from "./labels.ts";
import { type ContextRow, headNow, newestText, textOf } from "./rows.ts";

/** Contexts that are there. */
export const searchedContexts: SearchSource = {
  kind: "context",
  level: 1,
  keysAfter: (reader, after, limit) =>
    reader
      .all<{ id: string }>("SELECT id FROM contexts WHERE id > ? ORDER BY id LIMIT +?", after, limit)
      .map(({ id }) => id),
  changedBy: (_reader, { operation, target }) => (operation.startsWith("context_") ? [target] : []),
  row(reader, id) {
    const head = headNow(reader, id);
    if (head === undefined || head.deleted !== 0) return undefined;
    const written = reader.get<{ seq: number; purged: number }>(
      "SELECT seq, purged FROM versions WHERE id = ? AND version = ?",
      id,
      head.version,
    );
    if (written === undefined || written.purged !== 0) return undefined;
    return {
      seq: written.seq,
      space: head.space,
      visible: visibleRow(head),
      title: head.title,
      tags: tagsOf(head.tags),
      text: () => {
        const row = newestText(reader, id);
        return row === undefined ? "" : textOf(row);
      },
      bytes: head.size,
      timeMs: head.updated_at,
      author: head.author,
      agent: head.agent ?? "",
      shown: { id },
    };
  },
};

function visibleRow(head: ContextRow): VisibleRow {
  const { visibility, owner, owner_agent, owner_type, recipients } = audienceOf(head);
  const author = { caller: owner, agent: owner_agent, type: owner_type };
  return { visibility, author, to: recipientsOf(recipients) };
}
