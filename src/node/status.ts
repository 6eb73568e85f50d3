// The operation `status`: what this node is and how it is, for `cairn status`, agents and scripts. It judges nothing itself; conditions do.

import { z } from "zod";
import type { BuildInfo } from "../config/build-info.ts";
import { CONDITIONS, type ConditionCode, type Conditions } from "../observe/conditions.ts";
import { type ActOperation, act } from "../operation/define.ts";
import type { Status } from "../tailnet/index.ts";

const codes = Object.keys(CONDITIONS) as [ConditionCode, ...ConditionCode[]];

const output = z.object({
  status: z.enum(["ok", "warning", "failing"]).describe("The worst of the conditions."),
  serving: z.boolean().describe("Whether agents on the tailnet are served now."),
  node: z.object({
    id: z.string(),
    hostname: z.string(),
    name: z.string(),
    ips: z.array(z.string()),
    tags: z.array(z.string()),
  }),
  tailnet: z.object({
    state: z.string(),
    control: z.enum(["connected", "unreachable", "unknown"]),
    https: z.boolean(),
    funnel: z.boolean(),
    key_expiry: z.string().nullable(),
  }),
  url: z.string().nullable(),
  mcp_url: z.string().nullable(),
  login_url: z.string().nullable().describe("Only shown to admins of the node."),
  store: z.object({ position: z.string() }),
  versions: z.object({
    version: z.string(),
    commit: z.string(),
    bun: z.string(),
    tailscale: z.string(),
    go: z.string(),
  }),
  started_at: z.string(),
  conditions: z.array(
    z.object({
      code: z.enum(codes),
      title: z.string(),
      severity: z.enum(["info", "warning", "error"]),
      text: z.string(),
      hint: z.string(),
      since: z.string(),
    }),
  ),
});

/** The answer of `status`, a contract of `cairn status --json`. */
export type NodeStatus = z.infer<typeof output>;

/** What the operation reads when it is called. */
export interface StatusFacts {
  tailnet: () => Status | undefined;
  serving: () => boolean;
  urls: () => { url: string | null; mcpUrl: string | null };
  loginUrl: () => string | null;
  position: () => string;
  conditions: Conditions;
  hostname: string;
  versions: BuildInfo;
  startedAt: string;
}

const input = z.object({});

export function statusOperation(facts: StatusFacts): ActOperation<typeof input, typeof output> {
  return act({
    name: "status",
    title: "Node status",
    description:
      "Says what this cairn node is, whether it serves, where, and which health conditions hold with what to do about them.",
    input,
    output,
    access: { verb: "read", spaces: "visible" },
    hints: { idempotent: true },
    run: (_input, context) => {
      const tailnet = facts.tailnet();
      const admin = context.rights.grants.some((grant) => grant.role === "admin");
      const self = tailnet?.self;
      const { url, mcpUrl } = facts.urls();
      return {
        status: facts.conditions.overall(),
        serving: facts.serving(),
        node: {
          id: self?.id ?? "",
          hostname: self?.hostname ?? facts.hostname,
          name: self?.dnsName ?? "",
          ips: self?.ips ?? [],
          tags: self?.tags ?? [],
        },
        tailnet: {
          state: tailnet?.state ?? "NoState",
          control: tailnet?.control ?? "unknown",
          https: tailnet?.https ?? false,
          funnel: tailnet?.funnel ?? false,
          key_expiry: self?.keyExpiry ?? null,
        },
        url,
        mcp_url: mcpUrl,
        // Whoever opens this URL decides which account owns the node.
        login_url: admin ? facts.loginUrl() : null,
        store: { position: facts.position() },
        versions: facts.versions,
        started_at: facts.startedAt,
        conditions: facts.conditions.list(),
      } satisfies NodeStatus;
    },
  });
}
