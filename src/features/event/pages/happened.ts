// What happened, as lines: from events of Cairn itself, from the audit, and from what was sent to people.

import { ownEventData } from "../../../operation/own-events.ts";
import type { ShownEvent } from "../shown.ts";
import { type Thing, thingOf } from "./things.ts";

/** Types that lines are made of; one that ends with * means all that begin so. */
export const TYPES = [
  ...["cairn.probe.*", "cairn.service.*", "cairn.job.*", "cairn.rule.*", "cairn.member.*"],
  ...["cairn.condition.*", "cairn.backup.*", "cairn.settings.changed", "cairn.declaration.settled"],
] as const;
/** Of these, what may be the cause of something elsewhere. */
export const AROUND = [
  ...["cairn.member.*", "cairn.condition.*", "cairn.backup.failed", "cairn.rule.*"],
  ...["cairn.job.failed", "cairn.job.dead", "cairn.settings.changed", "cairn.declaration.settled"],
] as const;

/** What a line says of its thing: bad begins an incident or goes on with it, good ends it. */
export type Weight = "bad" | "good" | "plain";

/** Something that happened. */
export interface Line {
  atMs: number;
  thing: Thing;
  weight: Weight;
  words: string;
  /** Who did it; undefined: the fleet itself. */
  by?: { caller: string; agent?: string | undefined } | undefined;
  /** Whether it is only a first sign. */
  isSuspect?: true;
  /** Position in the log of events, as the attempts to send it name it. */
  offset?: number;
  /** Who was told of it, or not. */
  told?: readonly string[];
}

type Known = readonly [words: string, weight?: Weight];

/** Types in words, some by the operation that made them. Others are named as they are. */
const WORDS: Readonly<Record<string, Known>> = {
  "cairn.probe.suspect": ["a check failed", "bad"],
  "cairn.probe.down": ["is down", "bad"],
  "cairn.probe.up": ["is up again", "good"],
  "cairn.probe.unknown": ["nobody can tell how it is"],
  "cairn.probe.controlled": ["was muted, paused or resumed"],
  "cairn.service.asked service_move": ["a move was asked for"],
  "cairn.service.asked service_restart": ["a restart was asked for"],
  "cairn.service.started": ["is started"],
  "cairn.service.ready": ["is ready", "good"],
  "cairn.service.moved": ["is ready on another member", "good"],
  "cairn.service.down": ["is down", "bad"],
  "cairn.service.failed": ["a start failed", "bad"],
  "cairn.service.stopped": ["has ended, as it was to"],
  "cairn.job.queued": ["was queued"],
  "cairn.job.started": ["runs"],
  "cairn.job.succeeded": ["has succeeded"],
  "cairn.job.failed": ["has failed"],
  "cairn.job.dead": ["failed at all attempts"],
  "cairn.job.cancelled": ["was cancelled"],
  "cairn.rule.fired": ["started a job"],
  "cairn.rule.refused": ["was to start a job, and the queue took none"],
  "cairn.member.down": ["does not respond", "bad"],
  "cairn.member.up": ["responds again", "good"],
  "cairn.member.changed": ["joined, was approved, promoted or removed"],
  "cairn.member.leads": ["leads the fleet from here on"],
  "cairn.condition.raised": ["a condition holds"],
  "cairn.condition.cleared": ["a condition holds no longer"],
  "cairn.backup.done": ["made a backup"],
  "cairn.backup.failed": ["a backup failed"],
  "cairn.settings.changed": ["was set"],
  "cairn.declaration.settled": ["a declaration was judged"],
};

/** The fleet itself, as the sender of an event and in its data. */
const FLEET_ITSELF = "node";

/** Returns the line of an event. */
export function lineOfEvent({ type, subject = "", cairntime, cairnposition, data }: ShownEvent): Line {
  const thing = thingOf(subject);
  const said = ownEventData.safeParse(data).data;
  const [words, weight = "plain"] = WORDS[`${type} ${said?.operation}`] ?? WORDS[type] ?? [type];
  const part = thing.part === "" ? "" : `: ${thing.part.replaceAll("_", " ")}`;
  const offset = Number(/-e([0-9]+)$/.exec(cairnposition)?.[1] ?? Number.NaN);
  return {
    ...{ atMs: Date.parse(cairntime), thing, weight, words: `${words}${part}` },
    ...(said === undefined || said.caller === FLEET_ITSELF ? {} : { by: { caller: said.caller, agent: said.agent } }),
    ...(type === "cairn.probe.suspect" ? { isSuspect: true } : {}),
    ...(Number.isNaN(offset) ? {} : { offset }),
  };
}

/** A row of the audit, as far as lines need it. */
export interface AskedRow {
  time: string;
  caller: string;
  agent?: string | undefined;
  operation: string;
  target: string;
  outcome: string;
}

/** Returns the changes that no event says as well: those that name the operation say all that a row does. */
export function withoutSaid<T extends AskedRow>(rows: readonly T[], events: readonly ShownEvent[]): T[] {
  const said = new Set(
    events.flatMap(({ type, cairntime, data }) => {
      const operation = ownEventData.safeParse(data).data?.operation;
      return WORDS[`${type} ${operation}`] === undefined ? [] : [`${Date.parse(cairntime)} ${operation}`];
    }),
  );
  return rows.filter(({ time, operation }) => !said.has(`${Date.parse(time)} ${operation}`));
}

/** Returns the line of a change that somebody made; undefined for those of the fleet itself. */
export function lineOfChange({ time, caller, agent, operation, target, outcome }: AskedRow): Line | undefined {
  if (caller === FLEET_ITSELF || caller.startsWith("node:")) return undefined;
  const words = outcome === "" ? operation : `${operation}: ${outcome}`;
  return { atMs: Date.parse(time), thing: thingOf(target), weight: "plain", words, by: { caller, agent } };
}

/** An attempt to send an event, with the subscription that made it. */
export interface Attempt {
  subscription: string;
  /** The declared target, or "" for a document. */
  target: string;
  at: string;
  offset: number;
  attempt: number;
  result: string;
}

/** Returns the lines with who was told of them, by the last attempt of each subscription. */
export function withTold(lines: readonly Line[], attempts: readonly Attempt[]): Line[] {
  const byOffset = Map.groupBy(attempts, ({ offset }) => offset);
  return lines.map((line) => {
    const made = line.offset === undefined ? [] : (byOffset.get(line.offset) ?? []);
    if (made.length === 0) return line;
    const last = new Map(made.map((each) => [each.subscription, each]));
    return { ...line, told: [...last.values()].map((each) => toldText(each, line.atMs)) };
  });
}

function toldText({ subscription, target, at, attempt, result }: Attempt, happenedMs: number): string {
  const to = target === "" ? subscription : `${target} (${subscription})`;
  const seconds = Math.max(0, Math.round((Date.parse(at) - happenedMs) / 1000));
  if (result === "delivered") return `told ${to} after ${seconds} s`;
  return result === "skipped"
    ? `not told to ${to}: a rule leaves it out`
    : `${to} was not told: attempt ${attempt} ${result}`;
}
