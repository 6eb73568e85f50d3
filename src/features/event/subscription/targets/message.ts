// A message for people: title and text of an event's data where it has them (a rule can make them), else what an event
// of Cairn itself is about, or its type and what it holds; or a line for each of several events.

import { isObject } from "../../../../lib/json-object.ts";
import { OWN_SOURCE } from "../../own.ts";
import type { EventRecord } from "../../rules/index.ts";
import type { Delivery } from "../delivery.ts";

/** Most characters of a title and of a text, as the services take them. */
const MAX_TITLE = 200;
export const MAX_TEXT = { ntfy: 3500, slack: 3000, discord: 2000, telegram: 4096, email: 50_000 };
/** Of the text of one of several events. */
const MAX_LINE = 300;

/** What people read. */
export interface Message {
  title: string;
  text: string;
  priority: number | undefined;
  tags: string[];
}

/** Returns the message of a delivery. */
export function messageOf({ record, others = [], leftOut = 0, reminder }: Delivery, maxText: number): Message {
  const max = maxText - MAX_TITLE - 2;
  const first = singleOf(record, max);
  if (reminder !== undefined) {
    const since = `Since ${timeText(new Date(reminder.sinceMs))}.${reminder.isLast ? " This is not told again." : ""}`;
    return { ...first, title: cut(`Still: ${first.title}`, MAX_TITLE), text: `${since}\n${cut(first.text, max - 80)}` };
  }
  if (others.length === 0 && leftOut === 0) return first;
  const all = [first, ...others.map((other) => singleOf(other, max))];
  const priorities = all.flatMap(({ priority }) => priority ?? []);
  const left = leftOut === 0 ? "" : `and ${leftOut} more, which are left out`;
  const lines = all.map(({ title, text }) => cut(`${title}: ${text}`.replace(/\s+/g, " ").trim(), MAX_LINE));
  // What was left out is said even where the lines are cut.
  const shown = cut(lines.join("\n"), max - left.length - 1);
  return {
    title: `${all.length + leftOut} events`,
    text: left === "" ? shown : `${shown}\n${left}`,
    priority: priorities.length === 0 ? undefined : Math.max(...priorities),
    tags: [...new Set(all.flatMap(({ tags }) => tags))].slice(0, 5),
  };
}

function singleOf({ type, subject, source, data, time }: EventRecord, maxText: number): Message {
  const own = isObject(data) ? data : {};
  const said = source === OWN_SOURCE ? ofCairn(type, subject, time) : undefined;
  const title = textOf(own["title"]) ?? said?.title ?? (subject === undefined ? type : `${type}: ${subject}`);
  const plain = data === undefined ? source : (textOf(data) ?? JSON.stringify(data));
  const text = textOf(own["text"]) ?? said?.text ?? plain;
  const priority = own["priority"];
  const tags = Array.isArray(own["tags"]) ? own["tags"].flatMap((tag) => textOf(tag) ?? []).slice(0, 5) : [];
  return {
    title: cut(title, MAX_TITLE),
    text: cut(text, maxText),
    priority: typeof priority === "number" && priority >= 1 && priority <= 5 ? Math.floor(priority) : undefined,
    tags,
  };
}

/**
 * Returns what an event of Cairn itself says, such as "probe web: down". Its subject is a space, a collection, and the
 * name in it.
 */
function ofCairn(type: string, subject: string | undefined, time: string): { title: string; text: string } | undefined {
  const [, noun, verb] = /^cairn\.([a-z]+)\.([a-z_]+)$/.exec(type) ?? [];
  const name = subject?.split("/").slice(2).join("/");
  if (noun === undefined || name === undefined || name === "") return undefined;
  const at = new Date(time);
  const when = Number.isNaN(at.getTime()) ? "" : `, ${timeText(at)}`;
  return { title: `${noun} ${name}: ${verb}`, text: `${subject}${when}` };
}

/** Returns a time as people read it, in UTC. */
function timeText(at: Date): string {
  return `${at.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Cuts a text, and no character in two. */
function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
