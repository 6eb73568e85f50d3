// fleet_pick: which member is best for a piece of work, with the reasons. Nothing is reserved: two who ask at the same
// moment get the same answer.

import { z } from "zod";
import { LABEL } from "../../lib/machine-label.ts";
import { type ActOperation, act } from "../../operation/define.ts";
import type { Services } from "../../operation/services.ts";
import { DEVICE_NAMES } from "../queries.ts";
import { machineSchema } from "./machine-schema.ts";
import { MEMBER_VIEWS, machineReport } from "./member-view.ts";
import { ALLOWED, LEFT_OUT, type LeftOutBecause, nodesNamed, type PickView, pickMember } from "./pick.ts";

const MAX_WORDS = 32;

const input = z.object({
  labels: z
    .array(z.string().regex(LABEL, "small letters and digits, one label each, such as gpu, always-on or arm64"))
    .max(MAX_WORDS)
    .default([])
    .describe("Labels that the member must have, such as gpu, always-on, linux, arm64 or own ones."),
  memory_bytes: z.number().int().nonnegative().default(0).describe("Memory in bytes that must be free there."),
  kind: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, "a word such as transcription")
    .optional()
    .describe("Kind of the work. transcription takes long: members with the label always-on are preferred."),
  size_bytes: z
    .number()
    .int()
    .nonnegative()
    .optional()
    .describe(
      "Size of the work in bytes. Above 1000000 the member with the most CPUs is preferred, whatever the kind.",
    ),
  exclude: z
    .array(z.string().min(1).max(64))
    .max(MAX_WORDS)
    .default([])
    .describe("Members that are not wanted, by StableNodeID or tailnet name."),
  allow: z
    .array(z.enum(ALLOWED))
    .max(ALLOWED.length)
    .default([])
    .describe("Take members although they are so: away, edge, lagging, stale."),
});

const member = {
  node: z.string().describe("StableNodeID of its device."),
  name: z.string().describe("Its tailnet name, or what it calls itself where the tailnet shows none."),
};

const output = z.object({
  member: z.object(member).nullable().describe("The chosen member; null: none fits."),
  reason: z.string(),
  rule: z
    .enum(["least_busy", "large", "long", "light"])
    .describe(
      "What decides among members that fit and are less than 80 % busy: large prefers many CPUs, long the label " +
        "always-on, light few CPUs; then, and without a rule, the least busy; then the name.",
    ),
  candidates: z
    .array(
      z.object({
        ...member,
        role: z.string(),
        reason: z.string(),
        path: z.string(),
        round_trip_ms: z.number().nullable(),
        machine: machineSchema,
      }),
    )
    .describe("All that fit, the best first."),
  left_out: z
    .array(z.object({ ...member, role: z.string(), because: z.enum(LEFT_OUT), reason: z.string() }))
    .describe("The others. away does not answer, edge keeps no copy of the store, lagging is far behind the leader."),
  exclude_unknown: z.array(z.string()).describe("Words of `exclude` that name no member."),
});

/** Returns the operation. */
export function fleetPick(node: Services): ActOperation<typeof input, typeof output> {
  return act({
    name: "fleet_pick",
    title: "Choose a member for a piece of work",
    search: "least busy machine, where to run a job, route work, load balancing, capable machines",
    description:
      "Chooses the node of the fleet on which work is done best: the least busy one that has the labels and the " +
      "memory, by the kind and size of the work. Says why, and why the others were left out. Reserves nothing.",
    input,
    example: { labels: [], kind: "transcription", size_bytes: 500_000 },
    samples: { labels: ["gpu"], exclude: ["berlin"], allow: ["edge"], memory_bytes: 1_073_741_824 },
    aliases: { job_type: "kind", job_size: "size_bytes" },
    output,
    access: { verb: "read", spaces: ["fleet"] },
    async run({ labels, memory_bytes, kind, size_bytes, exclude, allow }) {
      const [views, names] = await Promise.all([node.get(MEMBER_VIEWS)(), node.get(DEVICE_NAMES)()]);
      const members = views.map((view): PickView => ({ ...view, tailnetName: names.get(view.node) ?? "" }));
      const excluded = exclude.map((word) => ({ word, nodes: nodesNamed(word, members) }));
      const { rule, candidates, leftOut, reason } = pickMember(members, {
        labels,
        memoryBytes: memory_bytes,
        kind,
        sizeBytes: size_bytes,
        exclude: new Set(excluded.flatMap(({ nodes }) => nodes)),
        allow: new Set<LeftOutBecause>(allow),
      });
      const [first] = candidates;
      return {
        member: first === undefined ? null : shown(first.member),
        reason,
        rule,
        candidates: candidates.map((each) => ({
          ...shown(each.member),
          role: each.member.role,
          reason: each.reason,
          path: each.member.path,
          round_trip_ms: each.member.round_trip_ms,
          machine: machineReport(each.member),
        })),
        left_out: leftOut.map((each) => ({
          ...shown(each.member),
          role: each.member.role,
          because: each.because,
          reason: each.reason,
        })),
        exclude_unknown: excluded.flatMap(({ word, nodes }) => (nodes.length === 0 ? [word] : [])),
      };
    },
  });
}

function shown({ node, name, tailnetName }: PickView): { node: string; name: string } {
  return { node, name: tailnetName || name };
}
