// The manifest of blobs: bytes by SHA-256 beside the log, on as many members as asked.

import { logFor } from "../../observe/logging.ts";
import { BLOB_LEVEL } from "../../operation/blob-references.ts";
import type { Feature } from "../../operation/feature.ts";
import { FULL_MEMBERS, LOG, NODE } from "../../operation/node-parts.ts";
import { blobAdd, blobHolders } from "./add.ts";
import { BLOBS, Blobs } from "./blobs.ts";
import { blobsDue } from "./collect.ts";
import { blobCommands } from "./commands.ts";
import { blobConditions } from "./conditions.ts";
import { blobGet } from "./get.ts";
import { KeepCopies } from "./keep-copies.ts";
import { blobList, blobStat } from "./list.ts";
import { blobPeerPaths } from "./peer-paths.ts";
import { blobPut } from "./put.ts";
import { blobPurge, blobRemove } from "./remove.ts";
import { blobRoutes } from "./rest.ts";
import schema from "./schema.sql" with { type: "text" };
import { BlobSweep } from "./sweep.ts";

/** Blobs. A new history keeps them: what members still have is found again, the rest is a condition. */
export const blobFeature: Feature = {
  name: "blob",
  migrations: [{ id: 28, level: BLOB_LEVEL, sql: schema }],
  tables: [
    { name: "blobs", scope: "replicated", fork: "keep", sql: "SELECT * FROM blobs ORDER BY space, sha256" },
    {
      name: "blob_holders",
      scope: "replicated",
      fork: "keep",
      sql: "SELECT * FROM blob_holders ORDER BY sha256, member",
    },
    { name: "blob_usage", scope: "replicated", fork: "keep", sql: "SELECT * FROM blob_usage ORDER BY kind, name" },
  ],
  conditions: blobConditions,
  open: (node) => {
    const { settings, nowMs } = node.get(NODE);
    node.provide(BLOBS, new Blobs({ data: settings.data, members: node.get(FULL_MEMBERS), nowMs }));
  },
  operations: (node) => [
    blobPut(node),
    blobGet(node),
    blobStat,
    blobList,
    blobRemove,
    blobPurge,
    blobAdd,
    blobHolders,
    blobsDue.write,
  ],
  expires: [blobsDue],
  rest: blobRoutes,
  commands: blobCommands,
  peerPaths: (node) => {
    const { folder, fetches } = node.get(BLOBS);
    return blobPeerPaths(folder, fetches);
  },
  jobs: (node) => {
    const { store, nowMs } = node.get(NODE);
    return [
      new BlobSweep({
        blobs: node.get(BLOBS),
        reader: store.reader,
        history: () => node.get(LOG),
        log: logFor("blob"),
        nowMs,
      }),
    ];
  },
  duties: (node) => {
    const { store, conditions, nowMs } = node.get(NODE);
    const keep = new KeepCopies({
      blobs: node.get(BLOBS),
      members: node.get(FULL_MEMBERS),
      reader: store.reader,
      log: () => node.get(LOG),
      conditions: conditions.of(blobConditions),
      say: logFor("blob"),
      nowMs,
    });
    return [(lead) => keep.lead(lead)];
  },
};
