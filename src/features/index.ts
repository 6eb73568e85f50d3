// The list of features. Adding one is a folder and a line here; the rest is derived from the manifests, except for the
// commands of contexts and the fleet, which are written by hand (src/cli/context, src/cli/export, src/cli/fleet).

import { settingRows } from "../config/settings.ts";
import { fleetFeature } from "../fleet/index.ts";
import { accessFeature, blobReferenceFeature, fenceFeature, logFeature } from "../operation/core-feature.ts";
import {
  agentTableOf,
  clearedByFork,
  conditionsOf,
  digestTablesOf,
  migrationsOf,
  operationsOf,
  ownEventsOf,
  schemaOf,
  settingTablesOf,
} from "../operation/derive.ts";
import type { Feature } from "../operation/feature.ts";
import { agentFeature } from "./agent/index.ts";
import { backupFeature } from "./backup/index.ts";
import { blobFeature } from "./blob/index.ts";
import { agentMemoryFeature, collaborationFeature, serverInfoFeature, toolDocsFeature } from "./collaboration/index.ts";
import { contextFeature } from "./context/index.ts";
import { declareFeature } from "./declare/index.ts";
import { callbackFeature, eventFeature, subscriptionFeature } from "./event/index.ts";
import { jobFeature } from "./job/index.ts";
import { leaseFeature } from "./lease/index.ts";
import { graphFeature, memoryFeature, memoryToolFeature } from "./memory/index.ts";
import { openaiFeature } from "./openai/index.ts";
import { probeFeature } from "./probe/index.ts";
import { searchFeature } from "./search/index.ts";
import { serviceFeature } from "./service/index.ts";
import { sessionFeature } from "./session/index.ts";

/** Every feature of this build. */
export const FEATURES: readonly Feature[] = [
  ...[logFeature, accessFeature, fenceFeature, blobReferenceFeature, agentFeature, contextFeature, fleetFeature],
  ...[backupFeature, leaseFeature, blobFeature, declareFeature, probeFeature, jobFeature, serviceFeature],
  ...[
    eventFeature,
    subscriptionFeature,
    callbackFeature,
    sessionFeature,
    searchFeature,
    memoryFeature,
    graphFeature,
    memoryToolFeature,
  ],
  ...[collaborationFeature, agentMemoryFeature, serverInfoFeature, toolDocsFeature, openaiFeature],
];

/** Migrations of a full member's store, applied in this order and never changed after a release. */
export const MIGRATIONS = migrationsOf(FEATURES);

/** The schema of a full member's store. */
export const STORE_SCHEMA = schemaOf(FEATURES);

/** What digests of a store cover. */
export const DIGEST_TABLES = digestTablesOf(FEATURES);

/** The agents of a fleet. */
export const AGENTS = agentTableOf(FEATURES);

/** What publishes events about changes. */
export const OWN_EVENTS = ownEventsOf(FEATURES);

/** Tables that a new history begins empty. */
export const CLEARED_BY_FORK = clearedByFork(FEATURES);

/** Tables of the features' own settings. */
export const SETTING_TABLES = settingTablesOf(FEATURES);

/** Every setting of this build with its name: the node's, then those of the features. */
export const SETTING_ROWS = settingRows(SETTING_TABLES);

/** Every health condition of this build. */
export const ALL_CONDITIONS = conditionsOf(FEATURES);

/** Every operation of this build, for whoever has no running node: pages, and readers of a stopped node's log. */
export const OPERATIONS = operationsOf(FEATURES);
