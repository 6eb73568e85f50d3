// fleet_members: the members of the fleet, and the devices that wait to join. The node supplies what only it knows of
// the waiting devices.

import { z } from "zod";
import { type ReadOperation, read } from "../operation/define.ts";
import { ServiceKey, type Services } from "../operation/services.ts";
import type { Pending } from "./join/admit.ts";
import { machineSchema } from "./placing/machine-schema.ts";
import { MEMBER_VIEWS, type MemberView, machineReport } from "./placing/member-view.ts";
import { allMembers, fleetValue, ROLES, type TicketRow } from "./rows.ts";

const tailnetName = z
  .string()
  .describe("First label of the MagicDNS name, as the tailnet proves it; empty: the tailnet does not show it.");

const output = z.object({
  fleet: z.object({ name: z.string(), id: z.string(), profile: z.string() }),
  members: z.array(
    z.object({
      node: z.string().describe("StableNodeID of its device."),
      server: z.string().describe("Id of its raft server; empty for an edge."),
      name: z.string().describe("What it calls itself."),
      tailnet_name: tailnetName,
      role: z.enum(ROLES),
      state: z.enum(["active", "leaving"]),
      spaces: z.array(z.string()).describe("What an edge may keep."),
      level: z.number().int(),
      version: z.string(),
      joined_at: z.string(),
      self: z.boolean().describe("The node that answers; path, round trip and ages are as it has them."),
      path: z.enum(["self", "direct", "relay", "none"]),
      relay: z.string(),
      round_trip_ms: z.number().nullable(),
      age_seconds: z.number().nullable().describe("Since its last report; null: none since this node started."),
      machine: machineSchema,
    }),
  ),
  pending: z
    .array(
      z.object({
        node: z.string(),
        name: z.string().describe("What it calls itself: a claim."),
        tailnet_name: tailnetName,
        caller: z.string().describe("Its user or tags, as the tailnet proves them."),
        role: z.string().describe("What it asks to be; empty: whatever the approval says."),
        version: z.string(),
        since: z.string(),
      }),
    )
    .describe("Devices that wait for fleet_member_approve; only the leader knows them."),
  approvals: z
    .array(z.object({ node: z.string(), role: z.enum(ROLES), expires_at: z.string() }))
    .describe("Given, and not used yet."),
  tickets: z.number().int().describe("Tickets that can still be used."),
});

/** Returns the devices that wait for approval on this node. */
export const PENDING: ServiceKey<() => readonly Pending[]> = new ServiceKey("the waiting devices");

/** Returns the tailnet's names of the devices that it shows, by StableNodeID. */
export const DEVICE_NAMES: ServiceKey<() => Promise<ReadonlyMap<string, string>>> = new ServiceKey(
  "the devices' names",
);

/** Output of `fleet_members`. */
export type MembersReport = z.infer<typeof output>;

/** Returns the operation. */
export function fleetMembers(node: Services): ReadOperation<z.ZodObject, typeof output> {
  return read({
    name: "fleet_members",
    title: "Members of the fleet",
    search: "nodes, machines, labels, load, memory and roles of the memory servers",
    description:
      "Lists the nodes of the fleet with their roles and their machines (load, memory, disk, temperature, labels), and " +
      "on the leader the devices that ask to join. Use node_status for how they do, fleet_pick to choose one for work.",
    input: z.object({}),
    output,
    access: { verb: "read", spaces: ["fleet"] },
    async run(reader) {
      const [names, views] = await Promise.all([node.get(DEVICE_NAMES)(), node.get(MEMBER_VIEWS)()]);
      const seen = new Map(views.map((view) => [view.node, view]));
      const tickets = reader.all<TicketRow>("SELECT * FROM tickets WHERE used_by = '' ORDER BY hash");
      const now = reader.get<{ log_time: number }>("SELECT log_time FROM head")?.log_time ?? 0;
      const open = tickets.filter(({ expires_at }) => expires_at > now);
      const approvals = open.filter(({ hash }) => hash.startsWith("node:"));
      return {
        fleet: {
          name: fleetValue(reader, "fleet_name"),
          id: fleetValue(reader, "fleet_id"),
          profile: fleetValue(reader, "fleet_profile"),
        },
        members: allMembers(reader).map(({ joinedMs, spaces, ...member }) => ({
          ...member,
          tailnet_name: names.get(member.node) ?? "",
          spaces: [...spaces],
          joined_at: new Date(joinedMs).toISOString(),
          ...viewColumns(seen.get(member.node)),
        })),
        pending: node
          .get(PENDING)()
          .map(({ sinceMs, lastMs: _, ...waiting }) => ({
            ...waiting,
            tailnet_name: names.get(waiting.node) ?? "",
            since: new Date(sinceMs).toISOString(),
          })),
        approvals: approvals.map(({ node, role, expires_at }) => ({
          node,
          role,
          expires_at: new Date(expires_at).toISOString(),
        })),
        tickets: open.length - approvals.length,
      };
    },
  });
}

/** Returns what this node knows of a member beside its row; a row that is newer than its look has nothing yet. */
function viewColumns(view: MemberView | undefined) {
  return {
    self: view?.self ?? false,
    path: view?.path ?? "none",
    relay: view?.relay ?? "",
    round_trip_ms: view?.round_trip_ms ?? null,
    age_seconds: view?.age_seconds ?? null,
    machine: view === undefined ? null : machineReport(view),
  };
}
