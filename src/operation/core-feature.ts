// The manifests of what lies below operations: the log's own tables, and who may do what on a node.

import { refusalsSchema } from "../access/refusals.ts";
import { logSchema } from "../log/index.ts";
import { accessExplain } from "./access-explain.ts";
import type { Feature } from "./feature.ts";
import { whoami } from "./whoami.ts";

/** The log: its digest is `LOG_TABLES`, and a new history is its own business (`forkHistory`). */
export const logFeature: Feature = { name: "log", migrations: [{ id: 1, sql: logSchema }] };

/** Rights: who is calling, why a call is refused, and which calls were. */
export const accessFeature: Feature = {
  name: "access",
  migrations: [{ id: 3, sql: refusalsSchema }],
  tables: [{ name: "refusals", scope: "node", fork: "keep" }],
  operations: (node) => [whoami, accessExplain(node)],
};
