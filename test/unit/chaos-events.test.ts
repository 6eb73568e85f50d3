// The rules about events find what they are for: each planted fault, and nothing in a run that is right.

import { expect, test } from "bun:test";
import { judgeEvents } from "../chaos/event-rules.ts";
import { type Arrival, type EventRun, Findings, type LoggedEvent } from "../chaos/history.ts";
import type { RaftEvent } from "../chaos/raft-events.ts";

const isWanted = (n: number) => n % 5 !== 0;
const logged = (id: string, at: number): LoggedEvent => ({ id, n: Number(id.split("-")[1]), cursor: `e1-e${at}` });
const LOG = ["a-1", "b-1", "a-2", "a-3", "b-2", "a-4", "a-5", "a-6"].map((id, at) => logged(id, at + 1));
const WANTED = LOG.filter(({ n }) => isWanted(n)).map(({ id }) => id);
const took = (id: string, wasTold = true): Arrival => ({ id, atMs: 0, wasTold });

function rulesOf(more: Partial<EventRun> = {}, leaders = 1): string[] {
  const published = LOG.map((event) => ({ ...event, publisher: event.id.slice(0, 1) }));
  const logs = new Map([
    ["one", LOG],
    ["two", LOG],
  ]);
  const raft = Array.from(
    { length: leaders },
    (_, term): RaftEvent => ({ kind: "leads", server: "s", epoch: "e1", term, candidate: "" }),
  );
  const findings = new Findings();
  const events = { published, logs, arrivals: WANTED.map((id) => took(id)), isWanted, ...more };
  judgeEvents({ rows: [], feeds: [], ends: [], epochs: [], raft, events }, findings);
  return findings.list.map(({ rule }) => rule);
}

const logsOf = (log: readonly LoggedEvent[]) => new Map([["one", log]]);

test("a run without a fault is right, and so are repeats after a lost answer and of a new leader", () => {
  expect(rulesOf()).toEqual([]);
  const [first = "", second = "", ...rest] = WANTED;
  const lost = [took(first, false), took(first), took(second)];
  expect(rulesOf({ arrivals: [...lost, ...rest.map((id) => took(id))] }, 0)).toEqual([]);
  expect(rulesOf({ arrivals: [...lost, took(first), ...[second, ...rest].map((id) => took(id))] })).toEqual([]);
});

test("an event that is lost, at another place, or there twice is found", () => {
  expect(rulesOf({ logs: logsOf(LOG.filter(({ n }) => n !== 5)) })).toEqual(["event-lost"]);
  expect(rulesOf({ logs: logsOf(LOG.map((event) => (event.n === 5 ? logged("a-5", 90) : event))) })).toEqual([
    "event-lost",
  ]);
  expect(rulesOf({ logs: logsOf([...LOG, logged("a-5", 9)]) })).toEqual(["event-doubled", "event-order"]);
});

test("logs that differ are found, also where one is longer", () => {
  const logs = (other: readonly LoggedEvent[]) => new Map([...logsOf(LOG), ["two", other]]);
  expect(rulesOf({ logs: logs(LOG.slice(0, -1)) })).toEqual(["events-differ"]);
  expect(rulesOf({ logs: logs(LOG.map((event, at) => (at === 0 ? logged("b-9", 1) : event))) })).toEqual([
    "events-differ",
  ]);
});

test("events of a publisher in another order are found", () => {
  const swapped = LOG.map((event, at) => (at === 3 ? logged("a-4", 6) : at === 5 ? logged("a-3", 4) : event));
  const arrivals = swapped.filter(({ n }) => isWanted(n)).map(({ id }) => took(id));
  expect(rulesOf({ logs: logsOf(swapped), arrivals })).toEqual(["event-order"]);
});

test("an arrival that is missing, early, unwanted or repeated without a new leader is found", () => {
  const arrivals = WANTED.map((id) => took(id));
  expect(rulesOf({ arrivals: arrivals.slice(0, -1) })).toEqual(["event-skipped"]);
  expect(rulesOf({ arrivals: arrivals.filter((_, at) => at !== 2) })).toEqual(["event-skipped"]);
  expect(rulesOf({ arrivals: arrivals.toSpliced(1, 2, ...arrivals.slice(1, 3).reverse()) })).toContain("event-skipped");
  expect(rulesOf({ arrivals: [...arrivals, took("a-5")] })).toEqual(["event-unwanted"]);
  expect(rulesOf({ arrivals: [...arrivals, took("a-6")] }, 0)).toEqual(["event-repeated"]);
  expect(rulesOf({ arrivals: [...arrivals, ...arrivals] }, 0)).toEqual(["event-repeated"]);
});
