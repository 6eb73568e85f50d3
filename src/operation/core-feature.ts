// The manifests of the features `log`, `access`, `fence` and `blob_reference`. The code of the first two is in src/log
// and src/access, which lie below and cannot import the type of a manifest.

import { refusalsClientSchema, refusalsSchema } from "../access/refusals.ts";
import { agentSchema, clientSchema, logSchema, outcomesSchema, stateHashSchema } from "../log/index.ts";
import { COUNTED_OUTCOMES_LEVEL } from "../log/kept-outcomes.ts";
import { AGENT_LEVEL, CLIENT_LEVEL } from "../log/level.ts";
import { STATE_HASH_LEVEL } from "../log/state-hash.ts";
import { accessExplain } from "./access-explain.ts";
import blobReferencesSchema from "./blob-references.sql" with { type: "text" };
import { BLOB_LEVEL } from "./blob-references.ts";
import type { Feature } from "./feature.ts";
import { FENCE_LEVEL } from "./fence.ts";
import fencesSchema from "./fences.sql" with { type: "text" };
import { whoami } from "./whoami.ts";

/** The log. Its tables are not listed: `LOG_TABLES` are in every digest, and `forkHistory` handles them at a fork. */
export const logFeature: Feature = {
  name: "log",
  migrations: [
    { id: 1, level: 1, sql: logSchema },
    { id: 5, level: STATE_HASH_LEVEL, sql: stateHashSchema },
    { id: 6, level: COUNTED_OUTCOMES_LEVEL, sql: outcomesSchema },
    { id: 7, level: CLIENT_LEVEL, sql: clientSchema },
    { id: 10, level: AGENT_LEVEL, sql: agentSchema },
  ],
};

/** The newest grants of leases, by which writes with a fence are judged. A new history begins with them. */
export const fenceFeature: Feature = {
  name: "fence",
  migrations: [{ id: 13, level: FENCE_LEVEL, sql: fencesSchema }],
  tables: [{ name: "fences", scope: "replicated", fork: "keep", sql: "SELECT * FROM fences ORDER BY name" }],
};

/** Which contexts refer to which blobs. A new history begins with them. */
export const blobReferenceFeature: Feature = {
  name: "blob_reference",
  migrations: [{ id: 27, level: BLOB_LEVEL, sql: blobReferencesSchema }],
  tables: [
    {
      name: "blob_references",
      scope: "replicated",
      fork: "keep",
      sql: "SELECT * FROM blob_references ORDER BY id, sha256",
    },
    { name: "blobs_free", scope: "replicated", fork: "keep", sql: "SELECT * FROM blobs_free ORDER BY space, sha256" },
  ],
};

/** Access: `whoami`, `access_explain`, and the table of refused calls. */
export const accessFeature: Feature = {
  name: "access",
  migrations: [
    { id: 3, level: 1, sql: refusalsSchema },
    { id: 9, level: CLIENT_LEVEL, sql: refusalsClientSchema },
  ],
  tables: [{ name: "refusals", scope: "node", fork: "keep" }],
  operations: (node) => [whoami, accessExplain(node)],
};
