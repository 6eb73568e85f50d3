// What the page of incidents asks: events in a time, changes of one thing, who was told, and how things are now. All
// reads are bounded, and show what the caller may see. Probes and services are other features: their lists are asked by
// name, and read as far as they are needed.

import { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import { timeOf } from "../../../lib/time-of.ts";
import type { Visit } from "../../../operation/page.ts";
import { Services } from "../../../operation/services.ts";
import { AUDIT_OPERATION } from "../../../page/audit-link.tsx";
import type { Named } from "../../../page/text.tsx";
import { listAsked } from "../list.ts";
import { OWN_SOURCE } from "../own.ts";
import type { ShownEvent } from "../shown.ts";
import { subscriptionGet, subscriptionList } from "../subscription/read-operations.ts";
import {
  AROUND,
  type AskedRow,
  type Attempt,
  type Line,
  lineOfChange,
  lineOfEvent,
  TYPES,
  withoutSaid,
  withTold,
} from "./happened.ts";
import type { EndNow } from "./incidents.ts";
import { type Thing, thingOf } from "./things.ts";

const since = z.string();
const probes = {
  name: "probe_list",
  output: z.object({
    probes: z.array(
      z.object({
        name: z.string(),
        space: z.string(),
        places: z.array(z.object({ node: z.string(), state: z.string(), since })),
      }),
    ),
  }),
} as const;
const services = {
  name: "service_list",
  output: z.object({
    services: z.array(
      z.object({
        name: z.string(),
        space: z.string(),
        copies: z.array(z.object({ copy: z.string().optional(), state: z.string(), since })),
      }),
    ),
  }),
} as const;
const audit = {
  name: AUDIT_OPERATION,
  output: z.object({
    rows: z.array(
      z.object({
        time: z.string(),
        caller: z.string(),
        agent: z.string().optional(),
        operation: z.string(),
        target: z.string(),
        outcome: z.string(),
      }),
    ),
  }),
} as const;
const oneSubscription = subscriptionGet(new Services());

/** The operations of other features that are asked, for a test that they are as read here. */
export const ASKED_OF_FEATURES = [probes, services, audit] as const;

/** Events of one answer, and changes. */
const MAX_EVENTS = 500;
const MAX_CHANGES = 100;
/** Subscriptions that are asked whom they told. */
const MAX_SUBSCRIPTIONS = 8;

/** A time from which on and up to which is asked; `isNow`: up to now. */
export interface Window {
  fromMs: number;
  toMs: number;
  isNow: boolean;
}

/** What was read. */
export interface Happened {
  lines: readonly Line[];
  /** There are more events in this time than were read: undefined, or the time up to or from which there are all. */
  cutMs: number | undefined;
}

/** Reads what happened in a time; `thing` as events name it, or its name alone; "": everything. */
export async function askHappened(visit: Visit, thing: string, window: Window): Promise<Happened> {
  const isExact = thing.includes("/");
  const own = isExact ? { subject: `${thing}*` } : {};
  const [ofThing, around, changes] = await Promise.all([
    eventsIn(visit, window, { types: TYPES, ...own }),
    isExact ? eventsIn(visit, window, { types: AROUND }) : undefined,
    isExact ? changesOf(visit, thing, window) : [],
  ]);
  const key = isExact ? thingOf(thing).key : "";
  const lines = ofThing.events.map(lineOfEvent).filter((line) => key === "" || line.thing.key === key);
  const others = (around?.events ?? []).map(lineOfEvent).filter((line) => line.thing.key !== key);
  const cuts = [ofThing.cutMs, around?.cutMs].filter((cut) => cut !== undefined);
  return {
    lines: [
      ...(await told(visit, lines)),
      ...others,
      ...withoutSaid(changes, ofThing.events).flatMap((row) => lineOfChange(row) ?? []),
    ],
    cutMs: cuts.length === 0 ? undefined : window.isNow ? Math.max(...cuts) : Math.min(...cuts),
  };
}

/** Up to now the newest are read, else the oldest of the time. */
async function eventsIn(
  visit: Visit,
  { fromMs, toMs, isNow }: Window,
  chosen: { types: readonly string[]; subject?: string },
): Promise<{ events: ShownEvent[]; cutMs: number | undefined }> {
  const place = isNow ? {} : { after: timeOf(fromMs) };
  const { events, more } = await visit.ask(listAsked, { source: OWN_SOURCE, limit: MAX_EVENTS, ...chosen, ...place });
  const timeMs = ({ cairntime }: ShownEvent) => Date.parse(cairntime);
  const last = events.at(-1);
  const isWhole = !more || (last !== undefined && (isNow ? timeMs(last) < fromMs : timeMs(last) > toMs));
  return {
    events: events.filter((event) => timeMs(event) >= fromMs && timeMs(event) <= toMs),
    cutMs: isWhole ? undefined : last === undefined ? (isNow ? toMs : fromMs) : timeMs(last),
  };
}

/** Who changed a thing or its declaration; nothing for who may not see the audit of its space. */
async function changesOf(visit: Visit, thing: string, { fromMs, toMs }: Window): Promise<AskedRow[]> {
  const { key, kind, name, space } = thingOf(thing);
  const folder = { service: "services", probe: "probes", rule: "rules" }[kind as string];
  const targets = [key, ...(folder === undefined ? [] : [`fleet/${folder}/${name}`])];
  const found = await Promise.all(
    targets.map(async (target) => {
      if (!visit.may(audit.name, target === key ? space : "fleet")) return [];
      const time = { since: timeOf(fromMs), until: timeOf(toMs) };
      const answer = await visit.tryAsk(audit, { prefix: target, limit: MAX_CHANGES, ...time });
      if (answer instanceof Fault) return [];
      return answer.rows.filter((row) => row.target === target || row.target.startsWith(`${target}/`));
    }),
  );
  return [...new Map(found.flat().map((row) => [`${row.time} ${row.target} ${row.operation}`, row])).values()];
}

/** Adds who was told, as far as the leader remembers its attempts. */
async function told(visit: Visit, lines: readonly Line[]): Promise<readonly Line[]> {
  const spaces = new Set(lines.filter(({ weight }) => weight !== "plain").map(({ thing }) => thing.space));
  if (spaces.size === 0) return lines;
  const list = await visit.tryAsk(subscriptionList);
  if (list instanceof Fault) return lines;
  const near = list.subscriptions.filter(({ space, target }) => target !== undefined && spaces.has(space));
  const attempts = await Promise.all(
    near.slice(0, MAX_SUBSCRIPTIONS).map(async ({ id, target = "" }): Promise<Attempt[]> => {
      const got = await visit.tryAsk(oneSubscription, { id });
      return got instanceof Fault ? [] : got.attempts.map((each) => ({ subscription: id, target, ...each }));
    }),
  );
  return withTold(lines, attempts.flat());
}

/** Returns how things are now that were bad at the end of what was read: asked once, and only where there are such. */
export async function askNow(visit: Visit, open: readonly Thing[], members: Named): Promise<EndNow> {
  const has = (kind: Thing["kind"]) => open.some((thing) => thing.kind === kind);
  const [ofProbes, ofServices] = await Promise.all([
    has("probe") ? visit.tryAsk(probes) : undefined,
    has("service") ? visit.tryAsk(services) : undefined,
  ]);
  const isBad = new Set(["suspect", "down", "unknown", "idle", "starting", "stopping"]);
  const end = (place: { state: string; since: string } | undefined) =>
    place === undefined ? "gone" : isBad.has(place.state) ? undefined : { untilMs: Date.parse(place.since) };
  return ({ kind, space, name, node }) => {
    const isIt = (each: { space: string; name: string }) => each.space === space && each.name === name;
    if (kind === "member")
      return members.length === 0 || members.some((member) => member.node === node) ? undefined : "gone";
    if (kind === "probe") {
      if (ofProbes === undefined || ofProbes instanceof Fault) return undefined;
      return end(ofProbes.probes.find(isIt)?.places.find((place) => place.node === node));
    }
    if (ofServices === undefined || ofServices instanceof Fault) return undefined;
    return end(ofServices.services.find(isIt)?.copies.find(({ copy = "" }) => copy === node));
  };
}
