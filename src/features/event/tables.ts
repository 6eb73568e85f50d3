// The tables of events: all replicated, and kept at the start of a new history.

import type { FeatureTable } from "../../operation/feature.ts";

const TABLES = [
  { name: "events", order: "offset" },
  { name: "event_segments", order: "last" },
  { name: "event_head", order: "one" },
  { name: "event_usage", order: "kind, name" },
  { name: "event_logs", order: "n" },
  { name: "event_waiting", order: "n" },
  { name: "event_positions", order: "caller, reader" },
] as const;

/** The tables. */
export const eventTables: readonly FeatureTable[] = TABLES.map(({ name, order }) => ({
  name,
  scope: "replicated",
  fork: "keep",
  sql: `SELECT * FROM ${name} ORDER BY ${order}`,
}));
