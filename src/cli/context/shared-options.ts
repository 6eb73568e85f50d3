// Arguments and options that several context commands share.

import { Fault } from "../../lib/fault.ts";
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
  { flags: "--tag <tag>", help: "a tag to find it by; may be given several times", repeated: true },
];

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

/** Returns the line that people see after a write, with the type as which the document is stored. */
export function writtenLine(body: Record<string, unknown>): string {
  const type = body["content_type"];
  return `${body["id"]} version ${body["version"]} etag ${body["etag"]}${typeof type === "string" ? ` as ${type}` : ""}\n`;
}
