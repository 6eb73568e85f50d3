// Rules about events: what was acknowledged is in each log once and at its place, in the order of its publisher, and
// arrives at the receiver of a subscription at least once and in the order of the log; a delivery that was acknowledged
// is repeated only by another leader.

import type { Arrival, EventRun, Findings, LoggedEvent, Run } from "./history.ts";

/** Judges what publishers, logs and the receiver of a load of events saw. */
export function judgeEvents({ events, raft = [] }: Run, findings: Findings): void {
  if (events === undefined) return;
  const [first, ...others] = events.logs;
  if (first === undefined) return;
  const [node, log] = first;
  for (const [other, its] of others) judgeSame(node, log, other, its, findings);
  judgeLog(events, log, findings);
  const wanted = log.filter(({ n }) => events.isWanted(n)).map(({ id }) => id);
  const leaders = raft.filter(({ kind }) => kind === "leads").length;
  judgeArrivals(wanted, events.arrivals, leaders, findings);
}

function judgeSame(
  node: string,
  log: readonly LoggedEvent[],
  other: string,
  its: readonly LoggedEvent[],
  findings: Findings,
): void {
  const at = Array.from({ length: Math.max(log.length, its.length) }, (_, index) => index).find(
    (index) => describe(log[index]) !== describe(its[index]),
  );
  if (at !== undefined)
    findings.add("events-differ", `${node} has ${describe(log[at])} where ${other} has ${describe(its[at])}`);
}

function judgeLog({ published }: EventRun, log: readonly LoggedEvent[], findings: Findings): void {
  const placed = new Map<string, string>();
  for (const event of log) {
    const before = placed.get(event.id);
    if (before !== undefined) findings.add("event-doubled", `${event.id} is at ${before} and at ${event.cursor}`);
    placed.set(event.id, before ?? event.cursor);
  }
  for (const { id, cursor } of published) {
    const found = placed.get(id);
    if (found !== cursor) findings.add("event-lost", `${id} was taken at ${cursor}, and is at ${found ?? "no place"}`);
  }
  const publisherOf = new Map(published.map(({ id, publisher }) => [id, publisher]));
  for (const [publisher, its] of Map.groupBy(log, ({ id }) => publisherOf.get(id))) {
    if (publisher === undefined) continue;
    const late = its.find(({ n }, index) => n <= (its[index - 1]?.n ?? 0));
    if (late !== undefined) findings.add("event-order", `${late.id} of ${publisher} is after a later one`);
  }
}

function judgeArrivals(
  wanted: readonly string[],
  arrivals: readonly Arrival[],
  leaders: number,
  findings: Findings,
): void {
  const places = new Map(wanted.map((id, index) => [id, index]));
  let next = 0;
  let repeats = 0;
  let last: { place: number; wasTold: boolean } | undefined;
  for (const { id, wasTold } of arrivals) {
    const place = places.get(id);
    if (place === undefined) {
      findings.add("event-unwanted", `${id} arrived, and the rules leave it out or no log has it`);
      continue;
    }
    if (place > next) findings.add("event-skipped", `${id} arrived before ${wanted[next]}, which is before it`);
    next = Math.max(next, place + 1);
    if (last !== undefined && (place < last.place || (place === last.place && last.wasTold))) repeats += 1;
    last = { place, wasTold };
  }
  if (next < wanted.length) findings.add("event-skipped", `${wanted[next]} never arrived`);
  if (repeats > leaders)
    findings.add("event-repeated", `deliveries went back ${repeats} times, with ${leaders} leaderships`);
}

function describe(event: LoggedEvent | undefined): string {
  return event === undefined ? "nothing" : `${event.id} at ${event.cursor}`;
}
