// Arguments and options that several context commands share.

import { Fault } from "../../lib/fault.ts";
import { VISIBILITIES } from "../../operation/visibility.ts";
import { type Argument, type Invocation, type Option, textOption, textsOption } from "../command.ts";

/** The context of a command. */
export const idArgument: Argument = { name: "ID", help: "such as team-a/plan", offers: "ids" };

/** Makes a write conditional. */
export const ifMatch: Option = {
  flags: "--if-match <etag>",
  help: "write only if this is still the etag (see context list, or --json)",
};

/** Makes a write one of the holder of a lease. */
export const fence: Option = {
  flags: "--fence <fence>",
  help: "the fence of a lease you hold: refused if another one got it since",
};

/** Makes a write repeatable. */
export const idempotencyKey: Option = {
  flags: "--idempotency-key <key>",
  help: "a key of your choice: writes with the same key are executed once",
};

/** Metadata of a context. */
export const titleAndTags: readonly Option[] = [
  { flags: "--title <text>", help: "a short title for lists" },
  { flags: "--tag <tag>", help: "a tag to find it by; may be given several times", repeated: true, fills: "tags" },
];

/** What else a put says of a context. */
export const details: readonly Option[] = [
  { flags: "--expires-in <time>", help: "delete it by itself after this time, such as 90s, 30m, 12h or 7d; never" },
  { flags: "--metadata <json>", help: `a JSON object to filter by, such as '{"project": "x"}'` },
  { flags: "--supersedes <id>", help: "a context that it replaces; may be given several times", repeated: true },
];

/** Who may read what a put writes. */
export const readers: readonly Option[] = [
  { flags: "--visibility <who>", help: "who may read it", offers: VISIBILITIES },
  {
    flags: "--to <name>",
    help: "a reader of a private one: agent, login or tag; may be given several times",
    repeated: true,
  },
];

/** Returns them under the names that operations use. */
export function readersOf(invocation: Invocation): Record<string, unknown> {
  const to = textsOption(invocation, "to");
  return { visibility: filledOption(invocation, "visibility", "--visibility"), to: to.length === 0 ? undefined : to };
}

/** Pages of a list. */
export const paging: readonly Option[] = [
  { flags: "--limit <n>", help: "most entries to list" },
  { flags: "--cursor <cursor>", help: "continue where an earlier list ended" },
];

/** Returns the condition and the key of a write under the names that operations use. */
export function conditionsOf(invocation: Invocation): Record<string, unknown> {
  return {
    if_match: filledOption(invocation, "ifMatch", "--if-match"),
    fence: filledOption(invocation, "fence", "--fence"),
    idempotency_key: filledOption(invocation, "idempotencyKey", "--idempotency-key"),
  };
}

/** Returns the value of an option. Throws Fault `invalid_input` for "", which would count as none further on. */
function filledOption(invocation: Invocation, name: string, flag: string): string | undefined {
  const value = textOption(invocation, name);
  if (value !== "") return value;
  throw new Fault("invalid_input", `${flag} is empty`, { hint: `Give it a value, or leave out ${flag}.` });
}

/** Returns title and tags under the names that operations use. */
export function titleAndTagsOf(invocation: Invocation): Record<string, unknown> {
  const tags = textsOption(invocation, "tag");
  return { title: textOption(invocation, "title"), tags: tags.length === 0 ? undefined : tags };
}

/** Returns what else a put says, under the names that operations use. Throws Fault `invalid_input`. */
export function detailsOf(invocation: Invocation): Record<string, unknown> {
  const supersedes = textsOption(invocation, "supersedes");
  const time = textOption(invocation, "expiresIn");
  return {
    expires_in: time === undefined ? undefined : secondsOf(time),
    metadata: metadataOption(invocation),
    supersedes: supersedes.length === 0 ? undefined : supersedes,
  };
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

function secondsOf(time: string): number {
  if (time === "never") return 0;
  const [, count, unit = "s"] = /^([1-9][0-9]{0,9})([smhd])?$/.exec(time) ?? [];
  if (count !== undefined) return Number(count) * (UNIT_SECONDS[unit] ?? 1);
  throw new Fault("invalid_input", `--expires-in must be a time or never, not ${JSON.stringify(time)}`, {
    hint: "Give a number of seconds, or one with s, m, h or d: --expires-in 12h.",
  });
}

/** Returns the text of `--metadata`, which the node parses. Throws Fault `invalid_input` for "". */
export function metadataOption(invocation: Invocation): string | undefined {
  return filledOption(invocation, "metadata", "--metadata");
}

/** Returns the line that people see after a write, with the type as which the document is stored. */
export function writtenLine(body: Record<string, unknown>): string {
  const type = body["content_type"];
  return `${body["id"]} version ${body["version"]} etag ${body["etag"]}${typeof type === "string" ? ` as ${type}` : ""}\n`;
}
