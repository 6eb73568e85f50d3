// What the operation `node_status` answers, put together from the parts that only the node knows.

import { buildInfo } from "../../config/build-info.ts";
import type { BackupReport } from "../../features/backup/index.ts";
import type { CacheReport, FleetPart, NodeReport } from "../../fleet/index.ts";
import type { Conditions } from "../../observe/conditions.ts";
import type { Status, Tailnet } from "../../tailnet/index.ts";

/** Asked anew for each answer. */
export interface NodeFacts {
  conditions: Conditions;
  /** The tailnet half, once it is started; a node of the conformance suite has none. */
  engine: () => Tailnet["kind"] | undefined;
  tailnet: () => Status | undefined;
  /** Base URLs, the best one first. */
  urls: () => string[];
  position: () => string;
  backups: () => BackupReport | undefined;
  /** Only of an edge. */
  cache: CacheReport | undefined;
  /** Role, fleet and members. */
  fleet: FleetPart;
  startedMs: number;
  nowMs: () => number;
}

/** The answer of `node_status`, asked anew each time. */
export function nodeReport(facts: NodeFacts): NodeReport {
  const tailnet = facts.tailnet();
  return {
    status: facts.conditions.overall(),
    version: buildInfo.version,
    commit: buildInfo.commit,
    uptime_seconds: Math.max(0, Math.floor((facts.nowMs() - facts.startedMs) / 1000)),
    position: facts.position(),
    ...facts.fleet,
    tailnet: {
      engine: facts.engine() ?? "loopback",
      state: tailnet?.state ?? "NoState",
      control: tailnet?.control ?? "unknown",
      name: tailnet?.self?.dnsName ?? "",
      ips: tailnet?.self?.ips ?? [],
      key_expiry: tailnet?.self?.keyExpiry ?? null,
      https: tailnet?.https ?? false,
      funnel_available: tailnet?.funnel ?? false,
    },
    ...backupOf(facts.backups()),
    ...(facts.cache === undefined ? {} : { cache: facts.cache }),
    urls: facts.urls(),
    conditions: facts.conditions.list(),
  };
}

function backupOf(report: BackupReport | undefined): Pick<NodeReport, "backup"> {
  if (report === undefined) return {};
  const { last, next, bucket, folder } = report;
  const { at = null, position = null, bytes = null } = last ?? {};
  const target = last?.in_bucket === true ? `${folder}, ${bucket}` : folder;
  return { backup: { at, position, bytes, target, next } };
}
