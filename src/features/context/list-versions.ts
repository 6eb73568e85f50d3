// context_history: the kept versions of a context, newest first.

import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { timeOf } from "../../lib/time-of.ts";
import { SHOW_ROW } from "../../lib/work.ts";
import { read } from "../../operation/define.ts";
import { parseNumberCursor } from "../../operation/page-cursor.ts";
import { audienceShown, shownAudience } from "./audience.ts";
import { etagOf } from "./context-etag.ts";
import { contextId, idAliases } from "./context-id.ts";
import { detailsShown, shownDetails } from "./details.ts";
import { tagsOf } from "./labels.ts";
import { historyFor, readable, versionsFor } from "./readable.ts";
import { agentActed, clientSaid, storedHead } from "./rows.ts";
import { missing } from "./version-faults.ts";

const MAX_PAGE = 500;

/** Lists the kept versions of a context, newest first. */
export const contextHistory = read({
  name: "context_history",
  title: "History of a context",
  search: "history of a note or memory, earlier versions, who changed it",
  core: "daily",
  description:
    "Lists the kept versions of a context, newest first: who wrote each, when, and which are deletions or purged. Read one with context_get, compare two with context_diff, restore one with context_restore.",
  input: z.object({
    id: contextId,
    limit: z.number().int().min(1).max(MAX_PAGE).optional().describe("At most this many (default 50)."),
    cursor: z.string().min(1).max(32).optional().describe("The cursor of the previous page."),
  }),
  example: { id: "team-a/plan", limit: 10 },
  samples: { cursor: "7" },
  output: z.object({
    id: z.string(),
    floor: z.number().int().describe("The oldest kept version."),
    versions: z.array(
      z.object({
        version: z.number().int(),
        etag: z.string(),
        position: z.string(),
        content_type: z.string(),
        title: z.string(),
        tags: z.array(z.string()),
        size: z.number().int(),
        author: z.string(),
        via: z.string().describe("The node that forwarded it, or empty."),
        client: clientSaid,
        agent: agentActed,
        ...shownDetails,
        ...shownAudience,
        time: z.string(),
        deleted: z.boolean(),
        purged: z.boolean(),
      }),
    ),
    cursor: z.string().optional().describe("Pass it back for older versions; absent on the last page."),
  }),
  access: { verb: "read", spaces: (input) => [spaceOf(input.id)] },
  aliases: idAliases,
  run(reader, input, context) {
    const viewer = context.viewer(spaceOf(input.id));
    const head = readable(storedHead(reader, input.id), viewer);
    if (head === undefined) throw missing(input.id);
    const limit = input.limit ?? 50;
    const below = input.cursor === undefined ? head.version + 1 : parseNumberCursor(input.cursor, "this history");
    const rows = versionsFor(reader, head, { below, limit: limit + 1 }, viewer);
    context.spend(SHOW_ROW * rows.length);
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return {
      id: input.id,
      floor: historyFor(reader, head, viewer).floor,
      versions: page.map((row) => ({
        version: row.version,
        etag: etagOf(row.version, row.hash),
        position: context.positionAt(row.seq),
        content_type: row.content_type,
        title: row.title,
        tags: tagsOf(row.tags),
        size: row.size,
        author: row.author,
        via: row.via,
        ...(row.client ? { client: row.client } : {}),
        ...(row.agent ? { agent: row.agent } : {}),
        ...detailsShown(row),
        ...audienceShown(row),
        time: timeOf(row.log_time),
        deleted: row.deleted !== 0,
        purged: row.purged !== 0,
      })),
      ...(rows.length > limit && last !== undefined ? { cursor: String(last.version) } : {}),
    };
  },
});
