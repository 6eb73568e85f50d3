// Lines grouped into incidents: from the first bad line of a thing to the good one that ends it. What goes bad within
// minutes of something that still is bad is one incident with it. Pure.

import type { Line } from "./happened.ts";
import type { Thing } from "./things.ts";

/** What goes bad later than this after the last beginning is another incident, even while the first one lasts. */
const JOIN_MS = 10 * 60_000;
/** What happened so long before an incident belongs to it: it may be the cause. */
const LEAD_MS = 60_000;

/** How a thing was bad. */
export interface Spell {
  thing: Thing;
  /** Undefined: before what was read. */
  fromMs: number | undefined;
  /** When it was down and no longer only suspect; undefined: never. */
  downMs: number | undefined;
  /** When it ended; undefined: it lasts, or `isUnseen`. */
  untilMs: number | undefined;
  /** It ended without an event: a suspect that was not down. At the latest at `lastMs`. */
  isUnseen: boolean;
  lastMs: number;
}

/** Spells that belong together, and everything that happened meanwhile. */
export interface Incident {
  fromMs: number;
  /** Undefined: it lasts. */
  untilMs: number | undefined;
  spells: readonly Spell[];
  /** The oldest first. */
  lines: readonly Line[];
}

/** What is known of how things are now, for spells without an end: the end of one, or undefined where it lasts. */
export type EndNow = (thing: Thing) => { untilMs: number } | "gone" | undefined;

/** What happened, in incidents and outside of them. */
export interface Grouped {
  /** The newest first. */
  incidents: readonly Incident[];
  /** Lines of no incident, the oldest first. */
  rest: readonly Line[];
}

/** Groups lines. `begins` says of which things a bad line begins one; others only happened meanwhile. */
export function groupLines(
  lines: readonly Line[],
  { begins, endNow, nowMs }: { begins: (thing: Thing) => boolean; endNow: EndNow; nowMs: number },
): Grouped {
  const sorted = lines.toSorted((one, other) => one.atMs - other.atMs || (one.offset ?? 0) - (other.offset ?? 0));
  const spells = spellsOf(
    sorted.filter(({ thing }) => begins(thing)),
    endNow,
  );
  const groups: Spell[][] = [];
  for (const spell of spells) {
    const group = groups.at(-1);
    const begunMs = Math.max(...(group ?? []).map(beginOf));
    const isJoined =
      group?.some((other) => endOf(other, nowMs) >= beginOf(spell)) && beginOf(spell) - begunMs <= JOIN_MS;
    if (isJoined) group?.push(spell);
    else groups.push([spell]);
  }
  const made = groups.map((group) => ({
    spells: group,
    fromMs: Math.min(...group.map(beginOf)),
    untilMs: group.some(isLasting) ? undefined : Math.max(...group.map((spell) => endOf(spell, nowMs))),
    lines: [] as Line[],
  }));
  const rest: Line[] = [];
  for (const line of sorted) (homeOf(line, made)?.lines ?? rest).push(line);
  return { incidents: made.toReversed(), rest };
}

/** Returns the incident of a line: that of its thing, or else the newest that was going on. */
function homeOf<Made extends Omit<Incident, "lines">>({ atMs, thing }: Line, made: readonly Made[]): Made | undefined {
  const during = made.filter(
    ({ fromMs, untilMs }) => atMs >= fromMs - LEAD_MS && atMs <= (untilMs ?? Number.POSITIVE_INFINITY),
  );
  return (
    during.findLast(({ spells }) => spells.some((spell) => spell.thing.key === thing.key && holds(spell, atMs))) ??
    during.at(-1)
  );
}

function holds(spell: Spell, atMs: number): boolean {
  return atMs >= beginOf(spell) && atMs <= (spell.untilMs ?? Number.POSITIVE_INFINITY);
}

function beginOf({ fromMs, lastMs, untilMs }: Spell): number {
  return fromMs ?? untilMs ?? lastMs;
}

function isLasting({ untilMs, isUnseen }: Spell): boolean {
  return untilMs === undefined && !isUnseen;
}

function endOf(spell: Spell, nowMs: number): number {
  return spell.untilMs ?? (spell.isUnseen ? spell.lastMs : nowMs);
}

/** Returns the spells of all things, in the order in which they began. Where it is on members, each has its own. */
function spellsOf(sorted: readonly Line[], endNow: EndNow): Spell[] {
  const byPlace = Map.groupBy(sorted, ({ thing }) => `${thing.key} ${thing.node}`);
  return [...byPlace.values()]
    .flatMap((lines) => spellsOfOne(lines, endNow))
    .sort((one, other) => beginOf(one) - beginOf(other));
}

function spellsOfOne(lines: readonly Line[], endNow: EndNow): Spell[] {
  const spells: Spell[] = [];
  let open: Spell | undefined;
  for (const { atMs, thing, weight, isSuspect = false } of lines) {
    if (weight === "plain") continue;
    if (weight === "good") {
      // That a service is ready is news of its own; that something is up again says that it was down.
      const isAgain = thing.kind === "probe" || thing.kind === "member";
      if (open === undefined && isAgain && spells.length === 0)
        spells.push({ thing, fromMs: undefined, downMs: undefined, untilMs: atMs, isUnseen: false, lastMs: atMs });
      if (open !== undefined) open.untilMs = atMs;
      open = undefined;
      continue;
    }
    // Suspect is said once: a second time means that it was well in between.
    if (open !== undefined && isSuspect && open.downMs === undefined) {
      open.isUnseen = true;
      open = undefined;
    }
    if (open === undefined) {
      open = { thing, fromMs: atMs, downMs: undefined, untilMs: undefined, isUnseen: false, lastMs: atMs };
      spells.push(open);
    }
    open.lastMs = atMs;
    if (!isSuspect) open.downMs ??= atMs;
  }
  if (open !== undefined) endAsNow(open, endNow(open.thing));
  return spells;
}

function endAsNow(open: Spell, end: ReturnType<EndNow>): void {
  if (end === undefined) return;
  if (end === "gone" || end.untilMs < open.lastMs) open.isUnseen = true;
  else open.untilMs = end.untilMs;
}
