// Chooses the member on which work is to be done. Deterministic and pure: from the same views comes the same choice.
// The rules by size and kind are those of seed 001 (`route_job`), in terms of what members report.

import { sizeText } from "../../lib/byte-size.ts";
import { counted } from "../../lib/counted.ts";
import { ALWAYS_ON } from "../../lib/machine-label.ts";
import { type Busy, busyOf } from "../../observe/machine/busy.ts";
import type { MachineFacts } from "../../observe/machine/facts.ts";
import { BEHIND_CHANGES } from "../health.ts";
import { STALE_MS } from "./machine-schema.ts";
import type { MemberView } from "./member-view.ts";

/** Why a member is left out, in the order in which it is looked for. */
export const LEFT_OUT = [
  "excluded",
  "leaving",
  "silent",
  "away",
  "edge",
  "lagging",
  "no_facts",
  "stale",
  "labels",
  "memory",
] as const;
/** Why a member is left out. */
export type LeftOutBecause = (typeof LEFT_OUT)[number];

/** Reasons against a member that a caller may allow. */
export const ALLOWED = ["away", "edge", "lagging", "stale"] as const satisfies readonly LeftOutBecause[];

/** Work beyond this size is large. */
export const LARGE_BYTES = 1_000_000;
/** Kinds of work that take long. */
export const LONG_KINDS: readonly string[] = ["transcription"];
/** Busier members come after all others, whatever the rule prefers. */
export const BUSY_PERCENT = 80;

/** What decides among members that fit: `large`, `long` and `light` are seed 001's. */
export type Rule = "least_busy" | "large" | "long" | "light";

/** What is wanted. */
export interface Wanted {
  labels: readonly string[];
  /** Bytes that must be free. */
  memoryBytes: number;
  kind?: string | undefined;
  sizeBytes?: number | undefined;
  /** StableNodeIDs. */
  exclude: ReadonlySet<string>;
  allow: ReadonlySet<LeftOutBecause>;
}

/** A member, with the name that the tailnet proves, if it shows one. */
export interface PickView extends MemberView {
  tailnetName: string;
}

/** A member that fits. */
export interface Candidate {
  member: PickView;
  machine: MachineFacts;
  busy: Busy;
  reason: string;
}

export interface Pick {
  rule: Rule;
  /** The first one is chosen. */
  candidates: readonly Candidate[];
  leftOut: readonly { member: PickView; because: LeftOutBecause; reason: string }[];
  /** Why the first one, or why none. */
  reason: string;
}

/** Chooses. */
export function pickMember(members: readonly PickView[], wanted: Wanted): Pick {
  const rule = ruleOf(wanted);
  const candidates: Candidate[] = [];
  const leftOut: { member: PickView; because: LeftOutBecause; reason: string }[] = [];
  for (const member of members) {
    const { machine } = member;
    const busy = machine && busyOf(machine);
    const out = reasonAgainst(member, wanted);
    if (out !== undefined) leftOut.push({ member, ...out });
    else if (machine !== undefined && busy !== undefined)
      candidates.push({ member, machine, busy, reason: describe(member, machine, busy) });
  }
  candidates.sort((one, other) => compare(keyOf(rule, one), keyOf(rule, other)));
  leftOut.sort((one, other) => compare(nameKey(one.member), nameKey(other.member)));
  return { rule, candidates, leftOut, reason: reasonFor(rule, wanted, candidates) };
}

/**
 * Returns the StableNodeIDs of all that a word names: by id, by the name that the tailnet proves (security.md 10), or,
 * where it shows none, by the one it calls itself. A member that takes the name of another shields no other.
 */
export function nodesNamed(word: string, members: readonly PickView[]): string[] {
  const wanted = word.toLowerCase();
  return members
    .filter(({ node, name, tailnetName }) => node === word || (tailnetName || name).toLowerCase() === wanted)
    .map(({ node }) => node);
}

/** Size first, then kind: a large file of a long kind is large. */
function ruleOf({ kind, sizeBytes }: Wanted): Rule {
  if (sizeBytes !== undefined && sizeBytes > LARGE_BYTES) return "large";
  if (kind !== undefined && LONG_KINDS.includes(kind)) return "long";
  return kind === undefined && sizeBytes === undefined ? "least_busy" : "light";
}

type Key = readonly (number | string)[];

function keyOf(rule: Rule, { member, machine, busy }: Candidate): Key {
  const isBusy = busy.percent >= BUSY_PERCENT ? 1 : 0;
  return [isBusy, preference(rule, machine), busy.percent, ...nameKey(member)];
}

/** The lower, the better. */
function preference(rule: Rule, { cores = 0, labels }: MachineFacts): number {
  if (rule === "large") return -cores;
  if (rule === "light") return cores;
  return rule === "long" && !labels.includes(ALWAYS_ON) ? 1 : 0;
}

/** Names first, because people know them; ids, because names may be the same. */
function nameKey({ tailnetName, name, node }: PickView): Key {
  return [tailnetName || name, node];
}

function compare(one: Key, other: Key): number {
  for (const [at, left] of one.entries()) {
    const right = other[at] ?? left;
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}

/** Returns the first reason against a member that the caller does not allow; undefined: it fits. */
function reasonAgainst(member: PickView, wanted: Wanted): { because: LeftOutBecause; reason: string } | undefined {
  for (const because of LEFT_OUT) {
    const reason = wanted.allow.has(because) ? undefined : AGAINST[because](member, wanted);
    if (reason !== undefined) return { because, reason };
  }
  return undefined;
}

const AGAINST: Readonly<Record<LeftOutBecause, (member: PickView, wanted: Wanted) => string | undefined>> = {
  excluded: ({ node }, { exclude }) => (exclude.has(node) ? "it was excluded" : undefined),
  leaving: ({ state }) => (state === "leaving" ? "it is leaving the fleet" : undefined),
  silent: ({ self, age_seconds }) =>
    self || age_seconds !== null ? undefined : "nothing was heard of it since this node started",
  away: ({ away, age_seconds }) => (away ? `it was last heard ${Math.round(age_seconds ?? 0)} s ago` : undefined),
  edge: ({ role }) => (role === "edge" ? "it is an edge, which keeps no copy of the store" : undefined),
  lagging: ({ lag }) =>
    (lag ?? 0) > BEHIND_CHANGES ? `it is ${counted(lag ?? 0, "change")} behind the leader` : undefined,
  no_facts: ({ machine, version }) =>
    machine !== undefined && busyOf(machine) !== undefined
      ? undefined
      : `its build ${version} says nothing of how busy its machine is`,
  stale: ({ away, machineAgeMs }) => {
    if (machineAgeMs <= STALE_MS) return undefined;
    // It is only looked at where a member that is away is allowed.
    const also = away ? ": allow stale too" : "";
    return `what it said of its machine is ${Math.round(machineAgeMs / 1000)} s old${also}`;
  },
  labels: ({ machine }, { labels }) => {
    const missing = labels.filter((label) => machine?.labels.includes(label) !== true);
    return missing.length === 0 ? undefined : `it lacks ${missing.join(", ")}`;
  },
  memory: ({ machine }, { memoryBytes }) => {
    const free = machine?.memoryFree;
    if (memoryBytes === 0 || (free ?? -1) >= memoryBytes) return undefined;
    const wanted = sizeText(memoryBytes);
    return free === undefined ? "its free memory is unknown" : `${sizeText(free)} are free, and ${wanted} are wanted`;
  },
};

function describe({ self, path, relay, round_trip_ms }: PickView, machine: MachineFacts, busy: Busy): string {
  const { cores, memoryFree, throttled = [] } = machine;
  const way = self ? "this node" : path === "relay" ? `by relay ${relay}` : path === "none" ? "no path known" : path;
  const facts = [
    `${busy.percent} % busy (${busy.by})`,
    cores === undefined ? "" : counted(cores, "CPU"),
    memoryFree === undefined ? "free memory unknown" : `${sizeText(memoryFree)} free`,
    round_trip_ms === null ? way : `${way}, ${round_trip_ms} ms`,
    throttled.length === 0 ? "" : `slowed down: ${throttled.join(", ")}`,
  ];
  return facts.filter((fact) => fact !== "").join("; ");
}

const PREFERS: Readonly<Record<Rule, string>> = {
  least_busy: "the least busy",
  large: `for more than ${LARGE_BYTES} bytes the one with the most CPUs, then the least busy,`,
  long: `for work that takes long one with the label ${ALWAYS_ON}, then the least busy,`,
  light: "for light work the one with the fewest CPUs, then the least busy,",
};

function reasonFor(rule: Rule, { kind }: Wanted, candidates: readonly Candidate[]): string {
  const [first, ...others] = candidates;
  if (first === undefined) return "no member fits";
  const isBusy = first.busy.percent >= BUSY_PERCENT ? `; every one is at least ${BUSY_PERCENT} % busy` : "";
  const all = `of ${others.length + 1} that fit`;
  const of = others.length === 0 ? "the only one that fits" : `${preferenceWords(rule, candidates)} ${all}`;
  const light =
    rule === "light" && kind !== undefined
      ? `; ${kind} is treated as light work, because only ${LONG_KINDS.join(", ")} is known to take long`
      : "";
  return `${of}: ${first.reason}${isBusy}${light}`;
}

/** What is preferred is only said of a chosen one that has it. */
function preferenceWords(rule: Rule, candidates: readonly Candidate[]): string {
  const isAlwaysOn = ({ machine }: Candidate) => machine.labels.includes(ALWAYS_ON);
  if (rule !== "long" || candidates.slice(0, 1).some(isAlwaysOn)) return PREFERS[rule];
  return candidates.some(isAlwaysOn)
    ? `for work that takes long the least busy, because those with the label ${ALWAYS_ON} are at least ${BUSY_PERCENT} % busy,`
    : `for work that takes long the least busy, because none has the label ${ALWAYS_ON},`;
}
