// cairn context get|list|metadata|history|diff: the commands that read contexts; grep is in grep.ts.

import { columns } from "../../lib/columns.ts";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { isObject } from "../../lib/json-object.ts";
import { RANGE } from "../../lib/text-range.ts";
import { wholeNumber } from "../../lib/whole-number.ts";
import { askNode } from "../client.ts";
import { type Command, countOption, FRESHNESS, given, type Invocation, isSet, textOption } from "../command.ts";
import { callerCell, cell, objectsOf, say, showAnswer, showPage, wantsJson, writeData } from "../output.ts";
import { idArgument, metadataOption, paging } from "./shared-options.ts";

/** `cairn context get`. */
export const contextGet: Command = {
  words: ["context", "get"],
  summary: "print a context's content",
  more: `Examples:
  cairn context get team-a/plan > plan.md
  cairn context get team-a/plan --version 3
  cairn context get team-a/plan --outline
  cairn context get team-a/plan --lines 10-40
  cairn context get team-a/plan --from export.jsonl      (asks no node)`,
  args: [idArgument],
  options: [
    { flags: "--version <n>", help: "an earlier version" },
    { flags: "--at <position>", help: "as it was at this position" },
    { flags: "--lines <range>", help: "only these lines, such as 10-40, 10- or 10" },
    { flags: "--chars <range>", help: "only these characters (UTF-16 code units), such as 1-2000" },
    { flags: "--outline", help: "its headings, or the keys of JSON, each with the characters to read" },
    { flags: "--from <file>", help: "read it from a file written by cairn export; - reads stdin", offers: "files" },
    ...FRESHNESS,
  ],
  asksNode: true,
  async run(invocation) {
    const id = invocation.args[0] ?? "";
    const version = countOption(invocation, "version", "--version");
    const at = textOption(invocation, "at");
    const file = textOption(invocation, "from");
    const json = wantsJson(invocation);
    const part = partOptions(invocation);
    if (file !== undefined) {
      refuseWithFrom(invocation, ["at", "lines", "chars", "outline"]);
      const { getFromExport } = await import("../export/export-file.ts");
      const found = await getFromExport(file, id, version);
      await writeContent(json ? `${JSON.stringify(found)}\n` : String(found["content"]));
      return 0;
    }
    const answer = await askNode(
      invocation,
      "context_get",
      given({ id, version, at, ...part, format: json ? undefined : "text" }),
    );
    await writeContent(json ? `${answer.text}\n` : shownPart(answer.body));
    return 0;
  },
};

/** Returns the options that choose a part of a document. Fault `invalid_input` where two of them are given. */
function partOptions(invocation: Invocation): Record<string, unknown> {
  const names = ["lines", "chars", "outline"].filter((name) => invocation.options[name] !== undefined);
  if (names.length > 1)
    throw new Fault("invalid_input", `--${names[0]} and --${names[1]} do not go together`, {
      hint: "Give one of them.",
    });
  const range = (name: string) => rangeOption(invocation, name);
  return { lines: range("lines"), chars: range("chars"), outline: isSet(invocation, "outline") || undefined };
}

/** Returns the text of a range. Fault `invalid_input` where it is none, which names the flag. */
function rangeOption(invocation: Invocation, name: string): string | undefined {
  const range = textOption(invocation, name);
  if (range === undefined || RANGE.test(range)) return range;
  throw new Fault("invalid_input", `--${name} must be FROM-TO, FROM- or one number, not ${JSON.stringify(range)}`, {
    hint: `Count from 1, such as --${name} 10-40.`,
  });
}

/** An export is read from its beginning to its end, as a whole. */
function refuseWithFrom(invocation: Invocation, names: readonly string[]): void {
  const name = names.find((each) => invocation.options[each] !== undefined);
  if (name === undefined) return;
  throw new Fault("invalid_input", `--${name} and --from do not go together`, {
    hint: name === "at" ? "Name a version instead." : `Leave out --${name}: a version in a file is read whole.`,
  });
}

/** Returns the content, or the rows of an outline; where a part is in its document is a remark on stderr. */
function shownPart({ content, part, outline, outline_cut }: Record<string, unknown>): string {
  if (outline === undefined) {
    if (isObject(part))
      say(`lines ${part["lines"]} of ${part["total_lines"]}, characters ${part["chars"]} of ${part["total_chars"]}`);
    return String(content);
  }
  if (outline_cut === true) say("the outline has more entries than these");
  return columns(
    objectsOf(outline).map((entry) => [
      String(entry["chars"]),
      `${"  ".repeat(Number(entry["level"]) - 1)}${cell(entry["name"])}`,
      [cell(entry["type"]), entry["items"] === undefined ? "" : `(${entry["items"]})`].join(" ").trim(),
    ]),
  );
}

/** Adds a line break on a terminal only; a pipe gets the bytes unchanged. */
async function writeContent(content: string): Promise<void> {
  await writeData(process.stdout.isTTY === true && !content.endsWith("\n") ? `${content}\n` : content);
}

/** `cairn context list`. */
export const contextList: Command = {
  words: ["context", "list"],
  aliases: ["ls"],
  summary: "list the contexts you may see",
  args: [{ name: "[PREFIX]", help: "only ids that begin with this", offers: "ids" }],
  options: [
    { flags: "--tag <tag>", help: "only contexts with this tag" },
    {
      flags: "--updated-since <time>",
      help: "only contexts written at or after this time, such as 2026-01-31T12:00:00Z",
    },
    { flags: "--metadata <json>", help: `only contexts whose metadata has these members: '{"project": "x"}'` },
    { flags: "--current", help: "without contexts that another one supersedes" },
    { flags: "--ids", help: "print only the ids, one per line" },
    ...paging,
    ...FRESHNESS,
  ],
  asksNode: true,
  async run(invocation) {
    const ids = isSet(invocation, "ids");
    const answer = await askNode(
      invocation,
      "context_list",
      given({
        prefix: invocation.args[0],
        tag: textOption(invocation, "tag"),
        updated_since: textOption(invocation, "updatedSince"),
        metadata: metadataOption(invocation),
        current: isSet(invocation, "current") || undefined,
        limit: countOption(invocation, "limit", "--limit"),
        cursor: textOption(invocation, "cursor"),
        fields: ids ? ["id"] : undefined,
      }),
    );
    return showPage(invocation, answer, (body) => {
      const rows = objectsOf(body["contexts"]);
      if (ids) return rows.map((row) => `${row["id"]}\n`).join("");
      return columns(
        rows.map((row) => [
          ...["id", "etag", "updated_at"].map((field) => cell(row[field])),
          callerCell(row["author"], row),
          cell(row["title"]),
          remarksOf(row),
        ]),
      );
    });
  },
};

/** Returns what is to know before one takes a context for another, or for the latest word. */
function remarksOf({
  looks_like: alike,
  superseded_by: successors,
  expires_at: until,
}: Record<string, unknown>): string {
  return [
    ...(Array.isArray(alike) ? [`looks like ${cell(alike.join(", "))}, and is another`] : []),
    ...(Array.isArray(successors) ? [`superseded by ${cell(successors.join(", "))}`] : []),
    ...(until === undefined ? [] : [`expires ${cell(until)}`]),
  ].join("; ");
}

/** `cairn context metadata`. */
export const contextMetadata: Command = {
  words: ["context", "metadata"],
  summary: "show everything about a context except its content",
  args: [idArgument],
  options: FRESHNESS,
  asksNode: true,
  async run(invocation) {
    const answer = await askNode(invocation, "context_metadata", { id: invocation.args[0] });
    return showAnswer(invocation, answer, (body) =>
      columns(Object.entries(body).map(([name, value]) => [name, cell(textOfValue(value))])),
    );
  },
};

function textOfValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.join(", ");
  return isObject(value) ? JSON.stringify(value) : value;
}

/** `cairn context history`. */
export const contextHistory: Command = {
  words: ["context", "history"],
  aliases: ["log"],
  summary: "list the versions of a context, newest first",
  args: [idArgument],
  options: [...paging, ...FRESHNESS],
  asksNode: true,
  async run(invocation) {
    const answer = await askNode(
      invocation,
      "context_history",
      given({
        id: invocation.args[0],
        limit: countOption(invocation, "limit", "--limit"),
        cursor: textOption(invocation, "cursor"),
      }),
    );
    return showPage(invocation, answer, (body) => columns(objectsOf(body["versions"]).map(historyRow)));
  },
};

function historyRow(row: Record<string, unknown>): string[] {
  const isEnd = row["deleted"] === true;
  const state =
    isEnd && row["expires_at"] !== undefined
      ? "expired"
      : isEnd
        ? "deleted"
        : row["purged"] === true
          ? "purged"
          : counted(Number(row["size"]), "byte");
  return [
    String(row["version"]),
    String(row["etag"]),
    String(row["time"]),
    callerCell(row["author"], row),
    state,
    cell(row["title"]),
  ];
}

/** `cairn context diff`. */
export const contextDiff: Command = {
  words: ["context", "diff"],
  summary: "show the difference between two versions",
  args: [
    idArgument,
    { name: "FROM", help: "the older version" },
    { name: "[TO]", help: "the newer version (default: the newest)" },
  ],
  options: [
    {
      flags: "--format <format>",
      help: "json-patch or text (default: json-patch if both versions are JSON)",
      offers: ["json-patch", "text"],
    },
    ...FRESHNESS,
  ],
  asksNode: true,
  async run(invocation) {
    const [id, from = "", to] = invocation.args;
    const answer = await askNode(
      invocation,
      "context_diff",
      given({
        id,
        from: wholeNumber("FROM", from),
        to: to === undefined ? undefined : wholeNumber("TO", to),
        format: textOption(invocation, "format"),
      }),
    );
    return showAnswer(invocation, answer, (body) => {
      const { diff } = body;
      if (typeof diff === "string") return diff;
      return objectsOf(diff)
        .map((step) => `${JSON.stringify(step)}\n`)
        .join("");
    });
  },
};
