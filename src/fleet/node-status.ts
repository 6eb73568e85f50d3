// node_status: the state of this node and its fleet. The node supplies the facts; here is their shape.

import { z } from "zod";
import { type ActOperation, act } from "../operation/define.ts";
import { ServiceKey, type Services } from "../operation/services.ts";
import { cacheReport } from "./cache-report.ts";
import { machineSchema } from "./placing/machine-schema.ts";
import { ROLES } from "./rows.ts";

/** A member as the answering node sees it. */
const memberReport = z.object({
  node: z.string().describe("StableNodeID of its device."),
  name: z.string(),
  role: z.enum(ROLES),
  state: z.enum(["active", "leaving"]),
  self: z.boolean(),
  votes: z.boolean(),
  leader: z.boolean(),
  position: z.string().describe("What it has applied, by its last report; empty: no report yet."),
  lag: z.number().int().nullable().describe("Changes that it is behind the leader, or behind this node."),
  path: z.enum(["self", "direct", "relay", "none"]),
  relay: z.string(),
  round_trip_ms: z.number().nullable(),
  skew_ms: z.number().nullable().describe("How far its clock is ahead of this node's."),
  fsync_p99_ms: z.number().nullable(),
  version: z.string(),
  level: z.number().int(),
  age_seconds: z.number().nullable().describe("Since its last report; null: none since this node started."),
  conditions: z.array(z.string()),
  machine: machineSchema.optional(),
});

/** The fleet in the report. */
const fleetReport = z.object({
  name: z.string(),
  id: z.string(),
  epoch: z.string(),
  position: z.string(),
  leader: z.string().describe("Name of the member that orders writes; empty: none is known."),
  leader_node: z.string(),
  term: z.number().int(),
  profile: z.string(),
  level: z.number().int(),
  voters: z.number().int(),
  settings: z
    .record(z.string(), z.string())
    .optional()
    .describe("Limits of the fleet that are not as built in, by name; missing on an edge."),
  survives: z.string().describe("What may fail without harm, in words."),
});

/** Output of `node_status`. */
export const nodeReport = z.object({
  status: z.enum(["ok", "warning", "failing"]),
  version: z.string(),
  commit: z.string(),
  uptime_seconds: z.number().int(),
  position: z.string(),
  role: z.enum(ROLES),
  fleet_size: z.number().int(),
  fleet: fleetReport,
  members: z.array(memberReport),
  tailnet: z.object({
    engine: z.enum(["library", "sidecar", "loopback"]),
    state: z.string(),
    control: z.string(),
    name: z.string(),
    ips: z.array(z.string()),
    key_expiry: z.string().nullable(),
    https: z.boolean(),
    funnel_available: z.boolean(),
  }),
  /** The last good scheduled backup, where it is, and when the next is due; missing on an edge. */
  backup: z
    .object({
      at: z.string().nullable(),
      position: z.string().nullable(),
      bytes: z.number().int().nullable(),
      target: z.string(),
      next: z.string().nullable(),
    })
    .optional(),
  /** Only on an edge. */
  cache: cacheReport.optional(),
  urls: z.array(z.string()),
  conditions: z.array(
    z.object({
      code: z.string(),
      severity: z.enum(["info", "warning", "error"]),
      title: z.string(),
      text: z.string(),
      hint: z.string(),
      since: z.string(),
    }),
  ),
});

/** `node_status` and its output, for callers without a node. */
export const NODE_STATUS = { name: "node_status", output: nodeReport } as const;

/** Output of `node_status`. */
export type NodeReport = z.infer<typeof nodeReport>;
/** A member of the fleet in it. */
export type MemberReport = z.infer<typeof memberReport>;
/** Role, fleet and members of a report. */
export type FleetPart = Pick<NodeReport, "role" | "fleet_size" | "fleet" | "members">;

/** What a report has: the machines of the members, and of the conditions the texts that a reader of spaces may see. */
export interface ReportWish {
  machines: boolean;
  reads: (space: string) => boolean;
}

/** Returns the report of this node. */
export const NODE_REPORT: ServiceKey<(wish: ReportWish) => Promise<NodeReport>> = new ServiceKey(
  "the report of the node",
);

const input = z.object({
  machines: z
    .boolean()
    .default(false)
    .describe("Adds the machine of each member: load, memory, disk, temperature, labels. For who may read all spaces."),
});

/** Returns the operation. */
export function nodeStatus(node: Services): ActOperation<typeof input, typeof nodeReport> {
  return act({
    ...NODE_STATUS,
    title: "Status of this node and its fleet",
    search: "health, problems, which node leads, memory server status",
    description:
      "Says how this cairn node and its fleet do: who leads, which members there are and how far they are, what " +
      "may fail, tailnet state, URLs, and conditions that need attention. Details are for callers who may read all " +
      "spaces.",
    input,
    access: { verb: "read", spaces: "visible" },
    run: async ({ machines }, { rights }) => {
      const seesAll = rights.mayUseEverywhere({ verb: "read", operation: NODE_STATUS.name });
      const reads = (space: string) => rights.mayUse({ verb: "read", operation: NODE_STATUS.name, space });
      const report = await node.get(NODE_REPORT)({ machines: machines && seesAll, reads });
      return seesAll ? report : withoutDetails(report);
    },
  });
}

/**
 * Returns the report for a caller of some spaces only (security.md 17): who the members are, so that clients can go on
 * at another one, and which conditions hold. What is said of paths, logins, other spaces, traffic and backups is left
 * out.
 */
function withoutDetails({ backup: _backup, cache: _cache, ...report }: NodeReport): NodeReport {
  const { settings: _settings, ...fleet } = report.fleet;
  return {
    ...report,
    fleet,
    members: report.members.map((member) => ({ ...member, ...NO_DETAILS })),
    conditions: report.conditions.map((condition) => ({ ...condition, text: "" })),
  };
}

const NO_DETAILS = {
  position: "",
  lag: null,
  path: "none",
  relay: "",
  round_trip_ms: null,
  skew_ms: null,
  fsync_p99_ms: null,
  age_seconds: null,
  conditions: [],
} satisfies Partial<MemberReport>;
