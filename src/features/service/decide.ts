// What the leader does next about services. Pure: from declarations, rows and what is known of members comes the next
// step of each copy, and why. Members act; apply refuses what is stale (transition.ts).

import type { Declaration } from "../../operation/declared-kind.ts";
import {
  type Candidate,
  candidatesOf,
  chosenOf,
  labelOf,
  mayFit,
  type SeenNode,
  UNKNOWN_LABELS,
} from "./candidates.ts";
import { hashOfProgram, type ServiceShape } from "./declared.ts";
import type { Demand } from "./demand.ts";
import type { Remark } from "./preparing.ts";
import { isHeld, offersOf, type ServiceRow } from "./rows.ts";
import { listOf, type Step, waits } from "./transition.ts";

/** After an instant of `failback: at:HH:MM` it may be made up for so long, in ms. */
const FAILBACK_WINDOW_MS = 600_000;
const DAY_MS = 86_400_000;
/** A service that is ready elsewhere goes back to a member on which all attempts failed no sooner than after this. */
const TRIED_MS = 30 * 60_000;
/** A member that says nothing of artifacts (an earlier version) has this long for one, in ms. */
const PREPARE_MS = 600_000;

/** All that decisions depend on. */
export interface World {
  /** Log time. */
  timeMs: number;
  term: number;
  services: readonly Pick<Declaration<ServiceShape>, "name" | "value" | "sinceMs">[];
  rows: readonly ServiceRow[];
  /** The full members that have said what they run. */
  nodes: readonly SeenNode[];
  /** Whether the lease of a copy is over, by the clock of the leader. */
  isOver: (row: ServiceRow) => boolean;
  /** What its member has said of it. */
  remark: (row: ServiceRow) => Remark;
  /** Whether a service is needed now, by the number that it goes by. */
  demand: (service: { name: string; value: ServiceShape }) => Demand;
  /** The order of members for a service without primary, by id. */
  rank: (service: ServiceShape) => readonly string[];
}

/** What is to be done about a copy. */
export interface Decision {
  name: string;
  copy: string;
  /** Undefined: nothing now. */
  step: Step | undefined;
  /** In words. */
  why: string;
  candidates: readonly Candidate[];
}

/** A service that is to run, with one of its copies. */
interface Wanted {
  name: string;
  copy: string;
  value: ServiceShape;
  /** Since when that is in force, in log time. */
  sinceMs: number;
  candidates: readonly Candidate[];
}

/** Decides about every copy: those that are to run first, by name, then those that are not. */
export function decide(world: World): Decision[] {
  const enabled = world.services.filter(({ value }) => value.enabled);
  const wanted = enabled.filter((each) => world.demand(each).isNeeded).flatMap((each) => copiesOf(each, world));
  const known = new Set(wanted.map(keyOf));
  const rows = new Map(world.rows.map((row) => [keyOf(row), row]));
  const over = world.rows.filter((row) => !known.has(keyOf(row)));
  return [
    ...wanted.map((each) => decideWanted(each, rows.get(keyOf(each)), world)),
    ...over.map((row) => decideUnwanted(row, world)),
    ...enabled
      .filter((each) => !world.demand(each).isNeeded && !over.some(({ name }) => name === each.name))
      .map((each) => decided({ name: each.name, copy: "" }, undefined, notNeeded(world.demand(each)), [])),
  ];
}

function keyOf({ name, copy }: { name: string; copy: string }): string {
  return `${name} ${copy}`;
}

/** A copy of a label stays wanted while its member is away, or its labels are not known. */
function copiesOf({ name, value, sinceMs }: World["services"][number], world: World): Wanted[] {
  const { nodes, rows } = world;
  const rank = world.rank(value);
  if (value.copies === "one") {
    const pin = rows.find((row) => row.name === name && row.copy === "")?.pin ?? "";
    return [{ name, copy: "", value, sinceMs, candidates: candidatesOf(name, value, pin, nodes, rank) }];
  }
  const label = labelOf(value) ?? "";
  const hasRow = (node: string) => rows.some((row) => row.name === name && row.copy === node);
  return nodes
    .filter(({ labels, away, node }) => labels?.includes(label) || ((away || labels === undefined) && hasRow(node)))
    .filter((each) => each.offers.has(name) || hasRow(each.node))
    .map((each) => ({ name, copy: each.node, value, sinceMs, candidates: candidatesOf(name, value, "", [each], []) }));
}

function notNeeded({ why }: Demand): string {
  return `it is not needed: ${why}`;
}

function decideUnwanted(row: ServiceRow, world: World): Decision {
  const service = world.services.find(({ name, value }) => name === row.name && value.enabled);
  const demand = service && world.demand(service);
  const isOff = demand?.isNeeded === false;
  const why = isOff ? notNeeded(demand) : "it is declared no more, or is not to run there";
  const isDone = !isHeld(row);
  if (row.state === "stopping" && !world.isOver(row)) return decided(row, undefined, "waits until it has ended", []);
  const to = isDone ? "gone" : row.state === "stopping" || world.isOver(row) ? "idle" : "stopping";
  return decided(row, stepOf(row, to, world, { reason: why }), why, []);
}

function decideWanted(wanted: Wanted, row: ServiceRow | undefined, world: World): Decision {
  if (row === undefined || !isHeld(row)) return decideStart(wanted, row, world);
  const { candidates } = wanted;
  if (world.isOver(row)) {
    const reason = `nothing was heard of its member for ${row.lease_ms / 1000} s`;
    return decided(row, stepOf(row, "idle", world, { reason }), reason, candidates);
  }
  if (row.state === "stopping") return decided(row, undefined, `waits until it has ended: ${row.reason}`, candidates);
  const end = reasonToStop(wanted, row, world);
  const why = whyHeld(wanted, row, world);
  if (end === undefined) {
    // Asked to move, and already at its best place.
    const isOpen = row.asked === "" || awaitedOf(candidates) !== undefined;
    const stay = isOpen ? undefined : stepOf(row, "stay", world, { reason: row.reason });
    return decided(row, stay, why, candidates);
  }
  return decided(row, stepOf(row, "stopping", world, end), end.reason, candidates);
}

function whyHeld(wanted: Wanted, row: ServiceRow, world: World): string {
  if (row.state === "starting") {
    const { waits } = world.remark(row);
    return waits === undefined ? row.reason : `${row.reason}; it is not ready yet: ${waits}`;
  }
  const lacking = lackOf(wanted, row, world) ?? strandedBy(wanted, row);
  if (lacking !== undefined) return `is ready as it was declared before: ${lacking}`;
  const here = hereOf(wanted, row);
  const unknown = here?.problem === UNKNOWN_LABELS ? here : row.asked === "move" && awaitedOf(wanted.candidates);
  return unknown ? `is ready; on ${unknown.name}: ${unknown.problem}` : "is ready";
}

function hereOf({ candidates }: Wanted, row: ServiceRow): Candidate | undefined {
  return candidates.find(({ seen }) => seen?.node === row.node);
}

/** Returns the member that would be the best one if it has the label, which is to be heard soon. */
function awaitedOf(candidates: readonly Candidate[]): Candidate | undefined {
  const best = candidates.find(mayFit);
  return best?.problem === UNKNOWN_LABELS ? best : undefined;
}

/** Returns why a copy that is ready goes on where it belongs no more: no member could start it again. */
function strandedBy({ candidates }: Wanted, row: ServiceRow): string | undefined {
  const isNamed = candidates.some(({ seen }) => seen?.node === row.node);
  if (row.state !== "ready" || isNamed || candidates.some(({ problem }) => problem === "")) return undefined;
  return noneCan(candidates);
}

/** Returns why a copy is to end where it is, and where it goes then. */
function reasonToStop(wanted: Wanted, row: ServiceRow, world: World): { reason: string; next?: string } | undefined {
  const { value, candidates } = wanted;
  const best = candidates.find(({ problem }) => problem === "")?.seen;
  if (row.asked === "restart") return { reason: "an operator restarts it", next: row.node };
  const isKnown = awaitedOf(candidates) === undefined;
  if (row.asked === "move" && isKnown && best !== undefined && best.node !== row.node)
    return { reason: `an operator moves it to ${best.name}`, next: best.node };
  if (strandedBy(wanted, row) !== undefined) return undefined;
  if (row.program !== hashOfProgram(value) && lackOf(wanted, row, world) === undefined) {
    const taken = value.deploy?.failed;
    const reason = taken === undefined ? "its declaration has changed" : `its deploy was taken back: ${taken.reason}`;
    return { reason, next: row.node };
  }
  const here = hereOf(wanted, row);
  if (here === undefined) return { reason: "its declaration names this member no more" };
  // What is away is not asked to end: its lease is waited for.
  const isUnsure = here.seen?.away === true || here.problem === UNKNOWN_LABELS;
  if (here.problem !== "" && !isUnsure) return { reason: `on ${here.name}: ${here.problem}` };
  if (row.state !== "ready" || best === undefined || best.node === row.node) return undefined;
  const isFirst = candidates[0]?.seen?.node === best.node;
  return isFirst && goesBack(value, best, row, world.timeMs)
    ? { reason: `it goes back to ${best.name}`, next: best.node }
    : undefined;
}

/** Returns why a copy that is ready goes on though its declaration has changed: its member lacks the next artifact. */
function lackOf({ value, sinceMs }: Wanted, row: ServiceRow, { timeMs, remark }: World): string | undefined {
  const { artifact } = value;
  if (artifact === undefined || row.state !== "ready" || row.program === hashOfProgram(value)) return undefined;
  const { has, lacks } = remark(row);
  if (has === artifact) return undefined;
  if (lacks !== undefined) return `its member lacks the next artifact: ${lacks}`;
  const isLate = has === undefined && timeMs - sinceMs >= PREPARE_MS;
  return isLate ? undefined : "its member has not said that it has the next artifact";
}

/** Reports whether a service that is ready elsewhere goes back to its first member now. */
function goesBack({ failback }: ServiceShape, first: SeenNode, row: ServiceRow, timeMs: number): boolean {
  // Where it could not run it is not tried again at once: it would be down each time.
  if (listOf(row.tried).includes(first.node) && timeMs - row.ready_at < TRIED_MS) return false;
  if (failback.startsWith("stable:")) return first.thereMs >= 1000 * Number(failback.slice("stable:".length));
  const [, hour, minute] = /^at:([0-9]{2}):([0-9]{2})$/.exec(failback) ?? [];
  if (hour === undefined) return false;
  const ofDayMs = (Number(hour) * 60 + Number(minute)) * 60_000;
  const lastMs = Math.floor((timeMs - ofDayMs) / DAY_MS) * DAY_MS + ofDayMs;
  return row.ready_at < lastMs && timeMs - lastMs < FAILBACK_WINDOW_MS;
}

function decideStart(wanted: Wanted, row: ServiceRow | undefined, world: World): Decision {
  const { name, copy, value, candidates } = wanted;
  const at = row ?? { name, copy };
  const chosen = chosenOf(row, candidates);
  const awaited = chosenOf(row, candidates, mayFit);
  if (awaited !== chosen) return decided(at, undefined, `waits for ${awaited?.name}: ${UNKNOWN_LABELS}`, candidates);
  if (chosen === undefined) return decided(at, undefined, noneCan(candidates), candidates);
  const program = hashOfProgram(value);
  const isWaiting = row !== undefined && waits(row, { node: chosen.node, program }, world.timeMs);
  if (isWaiting) return decided(at, undefined, `is started again on ${chosen.name} soon: ${row.reason}`, candidates);
  const hasFailed = row?.program === program && (row.failures > 0 || row.tried !== "[]");
  const reason = `starts on ${chosen.name}${hasFailed ? ` again, after: ${row.reason}` : ""}`;
  const step: Step = {
    ...{ name, copy, revision: row?.revision ?? 0, term: world.term, to: "starting", space: value.space },
    ...{ node: chosen.node, boot: chosen.boot, next: "", program, attempts: value.attempts },
    ...{ backoff_ms: 1000 * value.backoff, lease_ms: 1000 * value.lease, reason },
  };
  return decided(at, step, reason, candidates);
}

function noneCan(candidates: readonly Candidate[]): string {
  const why = candidates.map(({ name, problem }) => `${name}: ${problem}`).join("; ");
  return `no member can run it: ${why || "none has said that it runs services (setting fleet.run, as in cairn serve --fleet-run NAME)"}`;
}

function stepOf(
  row: ServiceRow,
  to: Step["to"],
  { term }: World,
  { reason, next = "" }: { reason: string; next?: string },
): Step {
  const { name, copy, revision, space, node, boot, program, attempts, backoff_ms, lease_ms } = row;
  return { name, copy, revision, term, to, space, node, boot, next, program, attempts, backoff_ms, lease_ms, reason };
}

function decided(
  { name, copy }: { name: string; copy: string },
  step: Step | undefined,
  why: string,
  candidates: readonly Candidate[],
): Decision {
  return { name, copy, step, why, candidates };
}

/** What a member says of itself, joined with what the leader sees of it. */
export function seenNode(
  row: { node: string; boot: string; offers: string },
  { name, away, labels }: { name: string; away: boolean; labels: readonly string[] | undefined },
  { drained, thereMs }: { drained: boolean; thereMs: number },
): SeenNode {
  const { node, boot } = row;
  return { node, name, boot, offers: new Set(offersOf(row)), away, labels, drained, thereMs };
}
