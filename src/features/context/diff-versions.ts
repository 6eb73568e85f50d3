// context_diff: compares two versions of a context, as a JSON patch or as a unified diff.

import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { spaceOf } from "../../access/space.ts";
import { Fault } from "../../lib/fault.ts";
import { diffJson } from "../../lib/json-diff.ts";
import { parseExact } from "../../lib/json-value.ts";
import { isJsonType } from "../../lib/media-type.ts";
import { diffText } from "../../lib/text-diff.ts";
import { read } from "../../operation/define.ts";
import { contextId, idAliases } from "./context-id.ts";
import { headFor } from "./readable.ts";
import { type StoredVersion, textOf } from "./rows.ts";
import { missing, requireNewest, requireVersion } from "./version-faults.ts";

/** Compares two versions of a context. */
export const contextDiff = read({
  name: "context_diff",
  title: "Difference of two versions",
  search: "compare versions of a note, what changed",
  description:
    "Shows what changed in a context from one version to another (default: the newest): a JSON patch for JSON, a unified diff for text. Use it before you overwrite what someone else changed.",
  input: z.object({
    id: contextId,
    from: z.number().int().min(1).describe("The older version."),
    to: z.number().int().min(1).optional().describe("The newer version (default: the newest)."),
    format: z
      .enum(["json-patch", "text"])
      .optional()
      .describe("Default: json-patch if both versions are JSON, else text."),
  }),
  example: { id: "team-a/plan", from: 1, to: 2 },
  output: z.object({
    id: z.string(),
    from: z.number().int(),
    to: z.number().int(),
    format: z.enum(["json-patch", "text"]),
    diff: z
      .union([z.array(z.record(z.string(), z.unknown())), z.string()])
      .describe("The steps of a JSON patch (RFC 6902), or a unified diff; empty if the versions are equal."),
    coarse: z.boolean().optional().describe("true: correct but not minimal, because the versions differ too much."),
  }),
  access: { verb: "read", spaces: (input) => [spaceOf(input.id)] },
  aliases: { ...idAliases, from_version: "from", to_version: "to" },
  async run(reader, input, { spend, inTurn, signal, viewer: viewerIn }) {
    const viewer = viewerIn(spaceOf(input.id));
    const head = headFor(reader, input.id, viewer);
    if (head === undefined) throw missing(input.id);
    const to = input.to ?? head.version;
    const older = requireVersion(reader, head, input.from, viewer);
    const newer =
      input.to === undefined ? requireNewest(reader, head, viewer) : requireVersion(reader, head, to, viewer);
    const areJson = isJsonType(older.content_type) && isJsonType(newer.content_type);
    if (input.format === "json-patch" && !areJson) {
      throw new Fault("unsupported_media_type", `The versions ${input.from} and ${to} are not both JSON`, {
        hint: "Use format text.",
      });
    }
    const base = { id: input.id, from: input.from, to };
    if (areJson && input.format !== "text") {
      spend(JSON_DIFF_BYTE * (older.size + newer.size));
      // Exact numbers: applied to the older version, the steps must produce the newer one.
      const diff = await inTurn(async () => {
        const from = parseExact(textOf(older));
        await nextTurn();
        return diffJson(from, parseExact(textOf(newer)), signal);
      });
      return { ...base, format: "json-patch" as const, diff };
    }
    const { text, coarse, work } = await inTurn(async () => {
      const from = linesOf(older);
      await nextTurn();
      return diffText(from, linesOf(newer));
    });
    spend(work);
    const names = text === "" ? "" : `--- ${input.id} version ${input.from}\n+++ ${input.id} version ${to}\n`;
    return { ...base, format: "text" as const, diff: `${names}${text}`, ...(coarse ? { coarse } : {}) };
  },
});

/** Units of work: both are parsed and compared value by value. */
const JSON_DIFF_BYTE = 50;

/** Returns the text to compare. JSON is indented first, since it is often stored as one long line. */
function linesOf(row: StoredVersion): string {
  const text = textOf(row);
  return isJsonType(row.content_type) ? `${JSON.stringify(parseExact(text), null, 2)}\n` : text;
}
