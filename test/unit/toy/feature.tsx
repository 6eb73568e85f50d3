// A feature that only tests know: counters by id. It uses every part of a manifest, so that a test can find it wherever
// the product derives something.
/** @jsxImportSource hono/jsx */

import { z } from "zod";
import { spaceOf } from "../../../src/access/space.ts";
import { count, valuesOf } from "../../../src/config/setting.ts";
import { Fault } from "../../../src/lib/fault.ts";
import { KNOWN_LEVEL } from "../../../src/log/level.ts";
import { read, write } from "../../../src/operation/define.ts";
import type { Feature } from "../../../src/operation/feature.ts";
import { LOG, NODE } from "../../../src/operation/node-parts.ts";
import type { Reader } from "../../../src/store/store.ts";

const id = z.string().regex(/^[a-z]+\/[a-z]+$/, "a space, a slash, a name");
const counter = z.object({ id: z.string(), count: z.number().int(), time: z.string() });

interface Row {
  id: string;
  count: number;
  time: number;
}

function shown({ id, count, time }: Row) {
  return { id, count, time: new Date(time).toISOString() };
}

/** What the jobs, duties and peer paths of one node did. */
export interface Traces {
  jobs: string[];
  leads: number;
}

/** Adds to a counter. */
export const counterAdd = write({
  name: "counter_add",
  v: 1,
  title: "Add to a counter",
  description: "Adds to a counter and returns it.",
  input: z.object({ id, by: z.number().int().min(1).max(1000) }),
  example: { id: "a/runs", by: 1 },
  output: counter.extend({ created: z.boolean() }),
  access: { verb: "write", spaces: (input) => [spaceOf(input.id)] },
  target: "id",
  prepare: (input) => input,
  apply(tx, { id, by }: { id: string; by: number }, { timeMs }) {
    const before = tx.get<Row>("SELECT * FROM counters WHERE id = ?", id);
    const row = { id, count: (before?.count ?? 0) + by, time: timeMs };
    tx.run("INSERT OR REPLACE INTO counters (id, count, time) VALUES (?,?,?)", row.id, row.count, row.time);
    const created = before === undefined;
    return {
      output: { ...shown(row), created },
      changes: [{ target: id, version: row.count, contentHash: "", outcome: created ? "created" : "updated" }],
    };
  },
});

/** Reads a counter. */
export const counterGet = read({
  name: "counter_get",
  title: "Read a counter",
  description: "Returns a counter.",
  input: z.object({ id }),
  example: { id: "a/runs" },
  output: counter,
  access: { verb: "read", spaces: (input) => [spaceOf(input.id)] },
  cacheable: true,
  run: (reader, input) => shown(rowOf(reader, input.id)),
});

/** Lists counters. */
export const counterList = read({
  name: "counter_list",
  title: "List counters",
  description: "Lists the counters that the caller may read.",
  input: z.object({}),
  output: z.object({ counters: z.array(counter) }),
  access: { verb: "read", spaces: "visible" },
  run: (reader, _input, { visible }) => ({
    counters: reader
      .all<Row>("SELECT * FROM counters ORDER BY id")
      .filter((row) => visible(spaceOf(row.id)))
      .map(shown),
  }),
});

function rowOf(reader: Reader, id: string): Row {
  const row = reader.get<Row>("SELECT * FROM counters WHERE id = ?", id);
  if (row === undefined) throw new Fault("not_found", `There is no counter ${id}`, { hint: "Add to it first." });
  return row;
}

const settings = { "counter.start": count(0, { min: 0, max: 9 }, "Where the counter of the test begins.") } as const;

/** The manifest; `migration` is the next free id, and `traces` records what a node did with it. */
export function counterFeature(migration: number, traces: Traces = { jobs: [], leads: 0 }): Feature {
  return {
    name: "counter",
    migrations: [
      {
        id: migration,
        level: KNOWN_LEVEL,
        sql: `CREATE TABLE counters (id TEXT PRIMARY KEY, count INTEGER NOT NULL, time INTEGER NOT NULL) STRICT;
              CREATE TABLE counter_notes (text TEXT NOT NULL) STRICT;`,
      },
    ],
    tables: [
      { name: "counters", scope: "replicated", fork: "clear", sql: "SELECT * FROM counters ORDER BY id" },
      { name: "counter_notes", scope: "node", fork: "keep" },
    ],
    operations: () => [counterAdd, counterGet, counterList],
    settings,
    conditions: { counter_high: { title: "High counter", severity: "warning", hint: "Begin a new counter." } },
    commands: [
      {
        words: ["counter", "add"],
        summary: "add to a counter",
        args: [{ name: "ID", help: "such as a/runs" }],
        options: [{ flags: "--by <n>", help: "how much" }],
        operation: counterAdd.name,
        input: ({ args, options }) => ({ id: args[0], by: Number(options["by"] ?? 1) }),
        show: (output) => `${output["id"]} is ${output["count"]}\n`,
      },
    ],
    rest: [
      {
        method: "GET",
        path: "/counters/{id}",
        params: { id: { kind: "wide" } },
        operationId: "getCounter",
        summary: "Read a counter",
        tag: "counters",
        operation: counterGet.name,
        response: { kind: "json" },
      },
    ],
    changes: {
      operations: [counterAdd.name],
      readBy: counterGet.name,
      altersList: ({ outcome }) => outcome === "created",
    },
    resources: {
      uriTemplate: "counter:///{id}",
      name: "counter",
      title: "Counter",
      description: "A counter.",
      list: {
        operation: counterList.name,
        input: () => ({}),
        result: (output) => ({
          resources: counterList.output.parse(output).counters.map(({ id, time }) => ({
            ...{ target: id, mimeType: "text/plain", size: 1, updatedAt: time, about: {} },
          })),
          cursor: undefined,
        }),
      },
      read: {
        operation: counterGet.name,
        input: ({ target }) => ({ id: target }),
        result: (output) => ({ mimeType: "text/plain", text: String(output["count"]), about: {} }),
      },
      complete: {
        operation: counterList.name,
        input: () => ({}),
        result: (output) => ({
          values: counterList.output.parse(output).counters.map((found) => found.id),
          hasMore: false,
        }),
      },
    },
    edge: [
      {
        operation: counterGet.name,
        targetOf: (input) => (typeof input["id"] === "string" ? input["id"] : undefined),
        upstream: (target) => ({ id: target }),
        bytesOf: () => 8,
        isIntact: (kept) => counter.safeParse(kept).success,
      },
    ],
    pages: [
      {
        path: "/ui/counters",
        summary: "The counters",
        navigation: { order: 9, label: "Counters" },
        async open(visit) {
          const { counters } = await visit.ask(counterList);
          return {
            title: "Counters",
            follows: {},
            body: (
              <ul>
                {counters.map((found) => (
                  <li>
                    {found.id}: {found.count}
                  </li>
                ))}
              </ul>
            ),
          };
        },
      },
    ],
    peerPaths: (node) => ({
      "counter-total": {
        open: true,
        schema: z.object({}),
        handle: async () => {
          const { reader } = node.get(NODE).store;
          return { total: reader.get<{ n: number }>("SELECT SUM(count) AS n FROM counters")?.n ?? 0 };
        },
      },
    }),
    events: {
      "cairn.counter.added": { when: "a counter was added to", subject: "the counter", operations: ["counter_add"] },
    },
    duties: (node) => [
      () => {
        traces.leads += node.get(LOG).leadership().leading ? 1 : 0;
      },
    ],
    jobs: (node) => [
      {
        name: "counter job",
        start: () => {
          traces.jobs.push(`start ${valuesOf(settings, node.get(NODE).settings)["counter.start"]}`);
          const conditions = node.get(NODE).conditions.of({
            counter_high: { title: "", severity: "warning", hint: "" },
          } as const);
          conditions.raise("counter_high", "The counter job has begun");
        },
        stop: () => {
          traces.jobs.push("stop");
        },
      },
    ],
  };
}
