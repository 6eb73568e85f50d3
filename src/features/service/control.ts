// What operators decide: service_move, service_restart, fleet_drain and fleet_undrain.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { listed } from "../../lib/listed.ts";
import { WRITE_ROW } from "../../lib/work.ts";
import { type ApplyStamp, type WriteOperation, write } from "../../operation/define.ts";
import { epochNumber } from "../../operation/fence.ts";
import type { Reader, Writer } from "../../store/store.ts";
import { changeOfNode } from "./internal.ts";
import {
  changeOfService,
  DEFAULT_SPACE,
  type DrainRow,
  drainRows,
  hashOfDrain,
  type NodeRow,
  nodeRows,
  offersOf,
  oneNamed,
  requireService,
  SERVICE_LEVEL,
  type ServiceRow,
  serviceName,
  serviceRow,
  serviceRows,
  serviceSpace,
  spacesOfService,
  writeService,
} from "./rows.ts";
import { newRow } from "./transition.ts";

const member = z.string().min(1).max(100);
const asked = z.object({ name: z.string(), copies: z.number().int().describe("Copies that are moved or restarted.") });

/** Moves a service. */
export const serviceMove = write({
  name: "service_move",
  v: 1,
  level: SERVICE_LEVEL,
  apart: true,
  title: "Move a service",
  search: "fail over by hand, migrate, switch to the backup, fail back",
  description:
    "Moves a service to another member: it ends where it runs, then it starts there. It stays there as if that were its primary, until service_move without `to` gives it back to what it declares. service_plan shows what would happen.",
  input: z.object({
    name: serviceName,
    space: serviceSpace,
    to: member.optional().describe("Name or id of the member. Left out: the best one by its declaration."),
  }),
  example: { name: "wiki", space: "ops" },
  samples: { to: "vm" },
  output: asked,
  access: { verb: "operate", spaces: spacesOfService },
  hints: { idempotent: true },
  work: () => 6 * WRITE_ROW,
  prepare: ({ name, space = DEFAULT_SPACE, to = "" }) => ({ name, space, to }),
  apply(tx, { name, space, to }, stamp) {
    requireService(tx, name, space);
    if (serviceRows(tx, name).some(({ copy }) => copy !== ""))
      throw new Fault("invalid_input", `The service ${name} has a copy on each member with its label`, {
        hint: "fleet_drain ends what runs on one member.",
        details: { field: "name" },
      });
    const pin = to === "" ? "" : runsOn(tx, name, { word: to, field: "to" }).node;
    const row = askFor(tx, { name, space, copy: "" }, { asked: "move", pin }, stamp);
    return { output: { name, copies: 1 }, changes: [changeOfService(row, "asked", row)] };
  },
});

/** Restarts a service. */
export const serviceRestart = write({
  name: "service_restart",
  v: 1,
  level: SERVICE_LEVEL,
  apart: true,
  title: "Restart a service",
  search: "stop and start a program, try again after a failure",
  description:
    "Ends a service and starts it again on the same member; one that waits after failures is started at once.",
  input: z.object({
    name: serviceName,
    space: serviceSpace,
    node: member.optional().describe("Only the copy of this member. Left out: all."),
  }),
  example: { name: "wiki", space: "ops" },
  samples: { node: "vm" },
  output: asked,
  access: { verb: "operate", spaces: spacesOfService },
  hints: { idempotent: true },
  work: () => 6 * WRITE_ROW,
  prepare: ({ name, space = DEFAULT_SPACE, node = "" }) => ({ name, space, node }),
  apply(tx, { name, space, node }, stamp) {
    requireService(tx, name, space);
    const only = node === "" ? undefined : runsOn(tx, name, { word: node, field: "node" }).node;
    const rows = serviceRows(tx, name).filter((row) => only === undefined || row.node === only);
    const changes = rows.map((found, at) => {
      const { pin } = found;
      const row = askFor(tx, found, { asked: "restart", pin }, { ...stamp, seq: stamp.seq + at });
      return changeOfService(row, "asked", row);
    });
    return { output: { name, copies: changes.length }, changes };
  },
});

/** Notes what is asked for; what waits after failures need not wait any more. */
function askFor(
  tx: Writer,
  key: Pick<ServiceRow, "name" | "space" | "copy">,
  set: Pick<ServiceRow, "asked" | "pin">,
  { seq, timeMs }: Pick<ApplyStamp, "seq" | "timeMs">,
): ServiceRow {
  const found = serviceRow(tx, key.name, key.copy) ?? newRow(key, { seq, timeMs, n: epochNumber(tx) });
  const revision = found.revision + 1;
  const row: ServiceRow = { ...found, ...set, revision, not_before: 0, failures: 0, rounds: 0, tried: "[]", seq };
  // One that runs nowhere goes where it is asked to, and not where it was.
  const kept = set.asked === "move" ? { ...row, next: set.pin } : row;
  writeService(tx, kept);
  return kept;
}

/** Returns the member that a word names, which agrees to run the service. Throws Fault `invalid_input`. */
function runsOn(reader: Reader, name: string, { word, field }: { word: string; field: string }): NodeRow {
  const rows = nodeRows(reader);
  const found = oneNamed(word, rows, field);
  if (found !== undefined && offersOf(found).includes(name)) return found;
  const others = rows.filter((row) => offersOf(row).includes(name)).map((row) => row.name || row.node);
  const why = found === undefined ? "is no member that runs services" : `does not agree to run ${name}`;
  throw new Fault("invalid_input", `${JSON.stringify(word)} ${why}`, {
    hint: `Members that agree by their setting fleet.run: ${others.length === 0 ? "none" : listed(others)}.`,
    details: { field },
  });
}

const drained = z.object({ node: z.string(), name: z.string(), drained: z.boolean() });

function drains(isDrained: boolean) {
  const words = isDrained
    ? {
        name: "fleet_drain",
        title: "Drain a member",
        search: "maintenance of a machine, move all services away, cordon",
        description:
          "Services leave this member, and none starts there, until fleet_undrain. service_plan with `without` shows where they would go.",
      }
    : {
        name: "fleet_undrain",
        title: "Undrain a member",
        search: "end maintenance of a machine, uncordon",
        description: "Services may run on this member again. They come back as their declarations say.",
      };
  return write({
    ...words,
    v: 1,
    level: SERVICE_LEVEL,
    apart: true,
    input: z.object({
      node: member.describe("Name or id of the member."),
      reason: z.string().max(300).optional().describe("Why, for others."),
    }),
    example: { node: "vm" },
    samples: { reason: "new disk" },
    output: drained,
    access: { verb: "operate", spaces: ["fleet"] },
    hints: { idempotent: true },
    work: () => 4 * WRITE_ROW,
    prepare: ({ node, reason = "" }) => ({ node, reason }),
    apply(tx: Writer, { node: word, reason }: { node: string; reason: string }, stamp: ApplyStamp) {
      const found = oneNamed(word, nodeRows(tx), "node");
      if (found === undefined)
        throw new Fault("not_found", `${JSON.stringify(word)} is no member that runs services`, {
          hint: "service_list shows the members that do. A member says so once its setting fleet.run names a service.",
        });
      const { node, name } = found;
      const isSo = drainRows(tx).some((row) => row.node === node) === isDrained;
      const output = { node, name, drained: isDrained };
      if (isSo) return { output, changes: [] };
      if (!isDrained) {
        tx.run("DELETE FROM drained_nodes WHERE node = ?", node);
        return { output, changes: [changeOfNode(node, "undrained", "")] };
      }
      const row: DrainRow = { node, by: stamp.caller, reason, since: stamp.timeMs, seq: stamp.seq };
      tx.run(
        "INSERT INTO drained_nodes (node, by, reason, since, seq) VALUES (?,?,?,?,?)",
        ...[node, row.by, reason, row.since, row.seq],
      );
      return { output, changes: [changeOfNode(node, "drained", hashOfDrain(row))] };
    },
  });
}

/** Drains a member, and ends that. */
export const fleetDrain: WriteOperation = drains(true) as unknown as WriteOperation;
export const fleetUndrain: WriteOperation = drains(false) as unknown as WriteOperation;
