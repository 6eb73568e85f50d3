// The rows that can be measured, and what a run passes to each of them.

import type { Load } from "./processes.ts";

/** Rows by what is measured: one node, a fleet, or what agents do together. */
export const GROUPS = {
  node: ["get", "put", "mcp", "traces", "tailnet", "start", "library"],
  fleet: [
    "voters",
    "direct",
    "first",
    "failover",
    "deaths",
    "memory",
    "edge",
    "catch-up",
    "latency",
    "idle",
    "jobs",
    "blobs",
    "probes",
  ],
  agents: ["messages", "events", "search", "waits", "page", "peers"],
} as const;
/** All rows, in the order of the report. */
export const ROWS = [...GROUPS.node, ...GROUPS.fleet, ...GROUPS.agents];
export type RowName = (typeof ROWS)[number];

export interface Bench {
  load: Load;
  /** Rows to run. */
  wanted: ReadonlySet<RowName>;
  /** Pairs of runs of each comparison, and starts of the node. */
  rounds: number;
  warmMs: number;
  runMs: number;
  /** How long a node is idle before its memory is read. */
  idleMs: number;
  /** Small documents that a new member catches up with. */
  documents: number;
  /** Messages that are searched, in one run after the other. */
  searched: readonly number[];
  /** Waits that are open at the same time. */
  waits: number;
  /** Folder for data, on the disk of this clone, so that durable writes reach a real disk. */
  data: string;
  /** Short folder for sockets. */
  sockets: string;
  say: (line: string) => void;
}
