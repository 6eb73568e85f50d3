// node_status: what this node is and how it does. The node hands in where the facts come from; here is only their shape.

import { z } from "zod";
import { type ActOperation, act } from "../operation/define.ts";

/** Schema of the answer of `node_status`. */
export const nodeReport = z.object({
  status: z.enum(["ok", "warning", "failing"]),
  version: z.string(),
  commit: z.string(),
  uptime_seconds: z.number().int(),
  position: z.string(),
  role: z.literal("central"),
  fleet_size: z.literal(1),
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

/** What `node_status` answers. */
export type NodeReport = z.infer<typeof nodeReport>;

/** The operation, over a function that gathers the facts when asked. */
export function nodeStatus(report: () => Promise<NodeReport>): ActOperation<z.ZodObject, typeof nodeReport> {
  return act({
    name: "node_status",
    title: "Status of this node",
    description:
      "Says how this cairn node does: tailnet state, URLs, position of the store, and conditions that need attention.",
    input: z.object({}),
    output: nodeReport,
    access: { verb: "read", spaces: "visible" },
    hints: { idempotent: true },
    run: () => report(),
  });
}
