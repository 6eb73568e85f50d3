// Every table of the store, in the order in which it came to be: the one list of migrations. A folder brings its own tables; this page only numbers them.
import { refusalsSchema } from "../access/refusals.ts";
import { contextSchema } from "../features/context/index.ts";
import { fleetSchema } from "../fleet/index.ts";
import { logSchema } from "../log/index.ts";
import type { Migration } from "../store/store.ts";

/** Applied in this order, never changed after a release. */
export const MIGRATIONS: readonly Migration[] = [
  { id: 1, name: "log", sql: logSchema },
  { id: 2, name: "context", sql: contextSchema },
  { id: 3, name: "refusals", sql: refusalsSchema },
  { id: 4, name: "fleet", sql: fleetSchema },
];
