// Which members could run a service, the best one first, and why others cannot. Pure.

import type { ServiceShape } from "./declared.ts";
import { memberNamed, type ServiceRow, severalNamed } from "./rows.ts";
import { listOf } from "./transition.ts";

/** A full member, as the leader knows it. */
export interface SeenNode {
  node: string;
  name: string;
  /** Its process, and what that agrees to run. */
  boot: string;
  offers: ReadonlySet<string>;
  /** No beat of it has arrived for seconds. */
  away: boolean;
  /** Undefined: not known, as this member was not heard since the leader leads. */
  labels: readonly string[] | undefined;
  drained: boolean;
  /** For how long it has been there and not drained, in ms, as this leader knows. */
  thereMs: number;
}

/** Why it cannot be said whether a member could run something: nothing is to be started there, and nothing ended. */
export const UNKNOWN_LABELS = "its labels are not known yet";

/** A member that a service names, or that fits its label. */
export interface Candidate {
  /** As the declaration names it where no member is known by that. */
  name: string;
  seen: SeenNode | undefined;
  /** Why it cannot run it now; "": it can. */
  problem: string;
}

/** Labels that the leader has not heard are waited for until a member has been there for so long, in ms. */
const LABELS_MS = 15_000;

/** What a service may run on, the best first, whether it can or not. `rank`: the order without a primary. */
export function candidatesOf(
  name: string,
  service: ServiceShape,
  pin: string,
  nodes: readonly SeenNode[],
  rank: readonly string[],
): Candidate[] {
  const named = service.primary === undefined ? [] : [service.primary, ...service.backups];
  const words = [...(pin === "" ? [] : [pin]), ...named];
  const label = labelOf(service);
  const found = words.map((word) => ({ name: word, seen: memberNamed(word, nodes) }));
  const others = named.length > 0 ? [] : [...nodes].sort(byRank(rank)).map((seen) => ({ name: seen.name, seen }));
  const seenBefore = new Set<string>();
  return [...found, ...others]
    .filter(({ name: word, seen }) => {
      const key = seen?.node ?? word;
      const isNew = !seenBefore.has(key);
      seenBefore.add(key);
      return isNew;
    })
    .map((each) => {
      const several = each.seen === undefined ? severalNamed(each.name, nodes) : undefined;
      return { ...each, problem: several === undefined ? problemOf(name, each.seen, label) : `it ${several}` };
    });
}

/** Returns the label that a service asks for. */
export function labelOf({ where }: ServiceShape): string | undefined {
  return where.startsWith("label:") ? where.slice("label:".length) : undefined;
}

function problemOf(service: string, seen: SeenNode | undefined, label: string | undefined): string {
  if (seen === undefined) return "no full member of that name agrees to run services (fleet.run)";
  if (seen.away) return "it is away";
  if (seen.drained) return "it is drained";
  if (!seen.offers.has(service)) return "it does not agree to run it (fleet.run)";
  if (label === undefined || seen.labels?.includes(label)) return "";
  return seen.labels === undefined ? UNKNOWN_LABELS : `it lacks the label ${label}`;
}

/**
 * Reports whether a candidate could run it, or could as soon as its labels are heard. Those of a build that sends none
 * are waited for no longer than others.
 */
export function mayFit({ problem, seen }: Candidate): boolean {
  return problem === "" || (problem === UNKNOWN_LABELS && seen !== undefined && seen.thereMs < LABELS_MS);
}

/** By rank; those without one come last, by name. */
function byRank(rank: readonly string[]): (one: SeenNode, other: SeenNode) => number {
  const place = ({ node }: SeenNode) => (rank.includes(node) ? rank.indexOf(node) : rank.length);
  const key = ({ name, node }: SeenNode) => `${name} ${node}`;
  return (one, other) => place(one) - place(other) || (key(one) < key(other) ? -1 : 1);
}

/**
 * Returns the member that gets a copy which runs nowhere: where it was to go, where it was, then the first one that
 * fits; one on which all attempts failed only when no other is left. `doesFit`: whether a candidate does.
 */
export function chosenOf(
  row: ServiceRow | undefined,
  candidates: readonly Candidate[],
  doesFit: (candidate: Candidate) => boolean = ({ problem }) => problem === "",
): SeenNode | undefined {
  const fits = candidates.flatMap((each) => (doesFit(each) && each.seen !== undefined ? [each.seen] : []));
  const tried = listOf(row?.tried ?? "[]");
  const fresh = fits.filter(({ node }) => !tried.includes(node));
  const hasRun = row !== undefined && row.fence_seq > 0;
  const next = fresh.find(({ node }) => node === (row?.next || undefined));
  const last = hasRun ? fresh.find(({ node }) => node === row.node) : undefined;
  return next ?? last ?? fresh[0] ?? fits[0];
}
