// What a subscription to a callback is: its id, the target that allows its host, its rules, how long it lives. Apply
// code reaches this file.

import { z } from "zod";
import { spaceAmong } from "../../../../access/space.ts";
import { canonicalJson } from "../../../../lib/canonical-json.ts";
import { sha256Hex } from "../../../../lib/sha256.ts";
import type { Reader } from "../../../../store/store.ts";
import type { Rule } from "../../rules/index.ts";
import type { TargetRow } from "../../subscription/rows.ts";
import { allowsHost, type callbackTarget, type OutwardTarget } from "../../subscription/targets/declared.ts";
import { ANY_EVENT, type EventArguments, eventArguments, eventName } from "../event-type.ts";

const MAX_URL = 2048;
/** How long a subscription lives without being asked for again, in ms: at least, and at most, which is the default. */
const MIN_TTL_MS = 60_000;
const MAX_TTL_MS = 15 * 60_000;

/** Arguments that name a subscription. */
export const callbackArguments = {
  name: eventName.describe(`A type of event_types, or ${ANY_EVENT}.`),
  arguments: eventArguments.describe("What of the type, as its inputSchema in events/list has it."),
  url: z
    .string()
    .max(MAX_URL)
    .refine((text) => hostOf(text) !== undefined, { message: "takes https://… without user, password and fragment" })
    .describe("Where its events go."),
};

/** The argument for how long it should live. */
export const ttlArgument = z
  .number()
  .int()
  .min(0)
  .optional()
  .describe("How long it lives unless it is asked for again, in ms: from 1 to 15 minutes (default: 15 minutes).");

/** What names a subscription. */
export interface CallbackKey {
  name: string;
  arguments: EventArguments;
  url: string;
}

/** Returns how long a subscription lives. */
export function ttlOf(asked: number | undefined): number {
  return Math.min(MAX_TTL_MS, Math.max(MIN_TTL_MS, asked ?? MAX_TTL_MS));
}

/** Returns the host of an address that events may be sent to; undefined for any other text. */
export function hostOf(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url?.protocol === "https:" && url.username === "" && url.password === "" && url.hash === "";
  return isPlain ? url.hostname : undefined;
}

/** Returns the id of a subscription in its space: made of who asks, what for, and the address. */
export function callbackId(caller: string, { name, arguments: given, url }: CallbackKey): string {
  const key = canonicalJson([caller, url, name, given]);
  return `${given.space}/sub_${sha256Hex(key).slice(0, 32)}`;
}

/** Returns the targets for callbacks, with the spaces that may use them. */
export function callbackTargets(
  reader: Reader,
): { name: string; target: z.infer<typeof callbackTarget>; spaces: readonly string[] }[] {
  const rows = reader.all<TargetRow>("SELECT * FROM event_targets ORDER BY name");
  return rows.flatMap(({ name, config, spaces }) => {
    const target = JSON.parse(config) as OutwardTarget;
    return target.kind === "callback" ? [{ name, target, spaces: JSON.parse(spaces) as string[] }] : [];
  });
}

/** Returns the target that allows a host for a space; else why there is none: no target, or none with the host. */
export function targetFor(
  reader: Reader,
  space: string,
  host: string,
): { target: string } | { none: "target" | "host" } {
  const open = callbackTargets(reader).filter(({ spaces }) => spaceAmong(spaces, space));
  const found = open.find(({ target }) => allowsHost(target, host));
  if (found !== undefined) return { target: found.name };
  return { none: open.length === 0 ? "target" : "host" };
}

/** Returns the rules of a subscription. `sender`: who asks, whose own events are left out unless it wants them. */
export function rulesOf(
  { name, arguments: given }: Pick<CallbackKey, "name" | "arguments">,
  { caller, agent }: { caller: string; agent: string | undefined },
): Rule[] {
  const types = name === ANY_EVENT ? given.types : [name];
  const conditions = [
    ...(types === undefined ? [] : [matching("type", types)]),
    ...(given.source === undefined ? [] : [matching("source", [given.source])]),
    ...(given.subject === undefined ? [] : [matching("subject", [given.subject])]),
  ];
  const acting = agent === undefined ? "has(event.cairnagent)" : agentTerm(agent);
  const others = `event.cairncaller != ${JSON.stringify(caller)} || ${acting}`;
  return [{ id: "mcp", match: { conditions, ...(given.own === true ? {} : { cel: others }) } }];
}

function agentTerm(agent: string): string {
  return `!has(event.cairnagent) || event.cairnagent != ${JSON.stringify(agent)}`;
}

/** Patterns that end with `*`, and plain texts, as a condition. */
function matching(field: string, patterns: readonly string[]) {
  const ways = patterns.map((pattern) =>
    pattern.endsWith("*") ? `${escaped(pattern.slice(0, -1))}.*` : escaped(pattern),
  );
  return { field, operator: "regex" as const, value: `^(?:${ways.join("|")})$` };
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
