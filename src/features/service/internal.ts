// The internal writes of services: steps of the leader, and what members say of their starts and of what they run.

import { z } from "zod";
import { WRITE_ROW } from "../../lib/work.ts";
import type { Changed } from "../../log/log.ts";
import { DECLARED_NAME } from "../../operation/declared-kind.ts";
import { write } from "../../operation/define.ts";
import { epochNumber, forgetGrant, noteGrant } from "../../operation/fence.ts";
import type { Writer } from "../../store/store.ts";
import {
  changeOfService,
  fenceOfService,
  hashOfNode,
  isHeld,
  MAX_REASON,
  type NodeRow,
  SERVICE_LEVEL,
  serviceRow,
  writeService,
} from "./rows.ts";
import { type At, type Made, STEPS, takeSaid, takeStep } from "./transition.ts";

/** Most steps or words of one command. */
export const MAX_AT_ONCE = 64;
/** Longest name of a member. */
export const MAX_NAME = 100;
/** Most services that one member agrees to run. */
export const MAX_OFFERED = 2000;

const copyKey = { name: z.string().regex(DECLARED_NAME), copy: z.string().max(64) };
const count = z.number().int().min(0);

const step = z.object({
  ...copyKey,
  revision: count,
  term: count,
  to: z.enum(STEPS),
  space: z.string().max(64),
  node: z.string().max(64),
  boot: z.string().max(64),
  next: z.string().max(64),
  program: z.string().max(64),
  attempts: count,
  backoff_ms: count,
  lease_ms: count,
  reason: z.string().max(MAX_REASON),
});

const said = z.object({
  ...copyKey,
  n: count,
  seq: count,
  what: z.enum(["ready", "ended", "failed"]),
  reason: z.string().max(MAX_REASON),
});

const noted = z.object({
  /** Null: it agrees to what it did before. */
  offer: z
    .object({
      node: z.string().max(64),
      name: z.string().max(MAX_NAME),
      boot: z.string().max(64),
      services: z.array(z.string().regex(DECLARED_NAME)).max(MAX_OFFERED),
    })
    .nullable(),
  said: z.array(said).max(MAX_AT_ONCE),
  /** Members that are none any more. */
  left: z.array(z.string().max(64)).max(MAX_AT_ONCE),
});
type Noted = z.output<typeof noted>;

const access = { verb: "admin", spaces: ["fleet"] } as const;
const shared = { v: 1, level: SERVICE_LEVEL, internal: true, apart: true, access } as const;

/** Takes steps. One that is stale is left out, so a leader that was replaced changes nothing. */
export const serviceStep = write({
  ...shared,
  name: "service_step",
  title: "Place services",
  description: "Decisions of the leader about where services run.",
  input: z.object({ steps: z.array(step).min(1).max(MAX_AT_ONCE) }),
  output: z.object({ taken: z.number().int() }),
  work: ({ steps }) => 6 * steps.length * WRITE_ROW,
  prepare: (input) => input,
  apply(tx, { steps }, stamp) {
    const changes: Changed[] = [];
    for (const each of steps) {
      const at = atOf(tx, stamp, changes);
      keep(tx, takeStep(serviceRow(tx, each.name, each.copy), each, at), changes);
    }
    return { output: { taken: changes.length }, changes };
  },
});

/** What members said, and which of them are members no more. */
export const serviceNote = write({
  ...shared,
  name: "service_note",
  title: "Note what members say of services",
  description: "Notes which services members agree to run, and what became of their starts.",
  input: noted,
  maxInputBytes: 512 * 1024,
  output: z.object({ noted: z.number().int() }),
  work: ({ said: all, left }) => 6 * (1 + all.length + left.length) * WRITE_ROW,
  prepare: (input) => input,
  apply(tx, command: Noted, stamp) {
    const changes: Changed[] = [];
    const { offer, left } = command;
    if (offer !== null) {
      const { node, name, boot, services } = offer;
      const row: NodeRow = { node, name, boot, offers: JSON.stringify(services), seq: stamp.seq };
      tx.run(
        "INSERT OR REPLACE INTO service_nodes (node, name, boot, offers, seq) VALUES (?,?,?,?,?)",
        ...[node, name, boot, row.offers, row.seq],
      );
      changes.push(changeOfNode(node, "offered", hashOfNode(row)));
    }
    for (const node of left) {
      tx.run("DELETE FROM service_nodes WHERE node = ?", node);
      tx.run("DELETE FROM drained_nodes WHERE node = ?", node);
      changes.push(changeOfNode(node, "left", ""));
    }
    for (const each of command.said)
      keep(tx, takeSaid(serviceRow(tx, each.name, each.copy), each, atOf(tx, stamp, changes)), changes);
    return { output: { noted: changes.length }, changes };
  },
});

function atOf(tx: Writer, { seq, timeMs }: { seq: number; timeMs: number }, changes: readonly Changed[]): At {
  return { seq: seq + changes.length, timeMs, n: epochNumber(tx) };
}

/** Writes what became of a row. The newest start is the one whose fence is taken. */
function keep(tx: Writer, made: Made | undefined, changes: Changed[]): void {
  if (made === undefined) return;
  const { before, row, outcome } = made;
  if (row === undefined) tx.run("DELETE FROM services WHERE name = ? AND copy = ?", before.name, before.copy);
  else writeService(tx, row);
  if (outcome === "starting" && row !== undefined) noteGrant(tx, fenceOfService(row));
  if (row === undefined || !isHeld(row)) forgetGrant(tx, fenceOfService(before).name);
  changes.push(changeOfService(before, outcome, row));
}

/** Returns the change of what is known of a member. */
export function changeOfNode(node: string, outcome: string, state: string): Changed {
  return { target: `fleet/nodes/${node}`, version: 0, contentHash: "", outcome, state };
}
