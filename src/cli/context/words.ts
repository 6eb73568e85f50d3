// Arguments and options that several context commands share.

import { type Argument, type Invocation, type Option, textOption, textsOption } from "../command.ts";

export const idArgument: Argument = { name: "ID", help: "such as team-a/plan", offers: "ids" };

export const ifMatch: Option = {
  flags: "--if-match <etag>",
  help: "only if this is still its etag (see context list, or --json)",
};

export const idempotencyKey: Option = {
  flags: "--idempotency-key <key>",
  help: "repeat a write whose answer you missed",
};

export const titleAndTags: readonly Option[] = [
  { flags: "--title <text>", help: "a short title for lists" },
  { flags: "--tag <tag>", help: "a word to find it by; may be given several times", repeated: true },
];

export const paging: readonly Option[] = [
  { flags: "--limit <n>", help: "at most so many" },
  { flags: "--cursor <cursor>", help: "go on where an earlier list ended" },
];

/** The conditions and the key that a write was given, as operations name them. */
export function conditionsOf(invocation: Invocation): Record<string, unknown> {
  return {
    if_match: textOption(invocation, "ifMatch"),
    idempotency_key: textOption(invocation, "idempotencyKey"),
  };
}

export function titleAndTagsOf(invocation: Invocation): Record<string, unknown> {
  const tags = textsOption(invocation, "tag");
  return { title: textOption(invocation, "title"), tags: tags.length === 0 ? undefined : tags };
}

/** What a write says to people. */
export function writtenLine(body: Record<string, unknown>): string {
  return `${body["id"]} version ${body["version"]} etag ${body["etag"]}\n`;
}
