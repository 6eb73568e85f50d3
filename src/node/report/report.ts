// Builds the answer of the operation `node_status` from parts that only the node knows.

import { buildInfo } from "../../config/build-info.ts";
import type { BackupReport } from "../../features/backup/index.ts";
import type { CacheReport, FleetPart, NodeReport } from "../../fleet/index.ts";
import type { Conditions } from "../../observe/conditions.ts";
import type { NodeState } from "../node-state.ts";

/** The facts of one moment. */
export interface NodeFacts {
  conditions: Conditions;
  state: NodeState;
  /** What is applied on this node. */
  position: string;
  /** Undefined on an edge. */
  backups: BackupReport | undefined;
  /** Undefined on a full member. */
  cache: CacheReport | undefined;
  /** Role, fleet and members. */
  fleet: FleetPart;
  /** Which spaces the caller may read. */
  reads: (space: string) => boolean;
  nowMs: number;
}

/** Returns the answer of `node_status`. */
export function nodeReport(facts: NodeFacts): NodeReport {
  const { conditions, state, position, backups, cache, fleet, reads, nowMs } = facts;
  return {
    status: conditions.overall(),
    version: buildInfo.version,
    commit: buildInfo.commit,
    uptime_seconds: Math.max(0, Math.floor((nowMs - state.startedMs) / 1000)),
    position,
    ...fleet,
    tailnet: tailnetReport(state),
    ...(backups === undefined ? {} : { backup: backupReport(backups) }),
    ...(cache === undefined ? {} : { cache }),
    urls: state.urls(),
    conditions: conditions.list(reads),
  };
}

/** A node for development or of the conformance suite is on no tailnet: it reports the loopback engine and no names. */
function tailnetReport(state: NodeState): NodeReport["tailnet"] {
  const engine = state.connection()?.tailnet.kind ?? "loopback";
  const status = engine === "loopback" ? undefined : state.status();
  return {
    engine,
    state: status?.state ?? "NoState",
    control: status?.control ?? "unknown",
    name: status?.self?.dnsName ?? "",
    ips: status?.self?.ips ?? [],
    key_expiry: status?.self?.keyExpiry ?? null,
    https: status?.https ?? false,
    funnel_available: status?.funnel ?? false,
  };
}

function backupReport({ last, next, bucket, folder }: BackupReport): NonNullable<NodeReport["backup"]> {
  const { at = null, position = null, bytes = null } = last ?? {};
  const target = last?.in_bucket === true ? `${folder}, ${bucket}` : folder;
  return { at, position, bytes, target, next };
}
