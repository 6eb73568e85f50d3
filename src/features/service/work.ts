// service_work: what members tell the leader of services, and what it answers. One call does all for one member: it
// says what it agrees to run, reports on what it has started, renews its leases, and learns what it is to run.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { callingMember } from "../../operation/ask-self.ts";
import { BLOB_HASH } from "../../operation/blob-references.ts";
import { DECLARED_NAME } from "../../operation/declared-kind.ts";
import { type CallContext, type Operation, read } from "../../operation/define.ts";
import type { HeldTerms } from "../../operation/held-terms.ts";
import { ServiceKey, type Services } from "../../operation/services.ts";
import { SURROUNDINGS } from "../../operation/surroundings.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import type { Reader } from "../../store/store.ts";
import { MAX_AT_ONCE, MAX_NAME, MAX_OFFERED, serviceNote } from "./internal.ts";
import { MAX_PREPARED_REASON, type Remarks } from "./preparing.ts";
import {
  isHeld,
  MAX_REASON,
  nodeRows,
  SERVICE_LEVEL,
  SERVICE_STATES,
  type ServiceRow,
  serviceRow,
  serviceRows,
  startText,
} from "./rows.ts";
import type { Said } from "./transition.ts";

/** What members say of what they run, on the leader. */
export const REMARKS: ServiceKey<Remarks> = new ServiceKey("remarks about services");

/** The terms of the leases of copies, on the leader. */
export const LEASES: ServiceKey<HeldTerms> = new ServiceKey("the leases of services");

const start = {
  name: z.string().regex(DECLARED_NAME),
  copy: z.string().max(64),
  n: z.number().int(),
  seq: z.number().int(),
};

const input = z.object({
  boot: z.string().min(1).max(64).describe("Names the process of the node."),
  offers: z.array(z.string().regex(DECLARED_NAME)).max(MAX_OFFERED).describe("Services that it agrees to run, sorted."),
  copies: z
    .array(
      z.object({
        ...start,
        what: z.enum(["starting", "ready", "ended", "failed"]),
        reason: z.string().max(MAX_REASON),
        has: z.string().regex(BLOB_HASH).optional().describe("The artifact that is declared now, unpacked there."),
        lacks: z.string().max(MAX_PREPARED_REASON).optional().describe("Why it does not have that yet."),
        waits: z.string().max(MAX_REASON).optional().describe("Why it is not ready yet."),
      }),
    )
    .max(MAX_OFFERED)
    .describe("Starts that it has, with what they came to."),
});

const given = z.object({
  ...start,
  space: z.string(),
  state: z.enum(SERVICE_STATES),
  program: z.string(),
  lease_ms: z.number(),
  reason: z.string(),
});

/** A start that a member has. */
export type GivenStart = z.output<typeof given>;
/** What a member tells. */
export type ServiceReport = z.output<typeof input>;
/** What it learns. */
export const serviceAnswer = z.object({ starts: z.array(given) });

/** The operation. Only nodes of the fleet may call it, as the admin of their machine. */
export const serviceWork = (node: Services): Operation =>
  read({
    name: "service_work",
    title: "Report the services of a node",
    isTool: false,
    search: "services of a node",
    description: "What a node tells the leader about services. Nodes call it; people have service_list.",
    input,
    example: { boot: "b-1", offers: [], copies: [] },
    output: serviceAnswer,
    access: { verb: "read", spaces: ["fleet"] },
    atLeader: true,
    maxInputBytes: 2 * 1024 * 1024,
    hints: { idempotent: true },
    async run(reader, { boot, offers, copies }, context) {
      refuseBelowLevel(reader, SERVICE_LEVEL, "service_work");
      const member = callingMember(node, context.caller, "service_list shows services.");
      const terms = node.get(LEASES);
      for (const each of copies) {
        const row = rowOf(reader, each);
        if (row?.boot !== boot || !isOf(row, member)) continue;
        node.get(REMARKS).note(row, each);
        await renew(terms, reader, row, context.signal);
      }
      await note(node, { member, boot, offers, copies }, reader, context);
      const starts: GivenStart[] = [];
      const known = new Set(copies.map(keyOf));
      for (const row of serviceRows(reader)) {
        if (!isHeld(row) || row.boot !== boot || !isOf(row, member)) continue;
        const { name, copy, n, fence_seq: seq, space, state, program, lease_ms, reason } = row;
        // Its time begins with the call that gives it: that was sent before.
        const isThere = known.has(keyOf({ name, copy, n, seq })) || (await renew(terms, reader, row, context.signal));
        if (isThere) starts.push({ name, copy, n, seq, space, state, program, lease_ms, reason });
      }
      return { starts };
    },
  });

function keyOf({ name, copy, n, seq }: Pick<Said, "name" | "copy" | "n" | "seq">): string {
  return `${name} ${copy} ${n}-${seq}`;
}

/** Returns the row of a start; undefined where it is over. */
function rowOf(reader: Reader, { name, copy, n, seq }: Pick<Said, "name" | "copy" | "n" | "seq">) {
  const row = serviceRow(reader, name, copy);
  return row !== undefined && isHeld(row) && row.n === n && row.fence_seq === seq ? row : undefined;
}

/** Gives a lease another term, unless it has ended. Rejects with Fault `unavailable` where this node does not lead. */
async function renew(terms: HeldTerms, reader: Reader, row: ServiceRow, signal: AbortSignal): Promise<boolean> {
  const key = startText(row);
  const { name, copy, n, fence_seq: seq } = row;
  let isOver = false;
  const find = () => {
    isOver = rowOf(reader, { name, copy, n, seq }) === undefined;
    if (isOver) throw new Fault("lease_lost", `The start ${key} is over`);
    return { key, ttlMs: row.lease_ms };
  };
  await terms.renew(key, find, signal).catch((error: unknown) => {
    if (!isOver) throw error;
  });
  return !isOver;
}

/** Reports whether a start is of this member. One that was on no tailnet when it was given the start had no id then. */
function isOf({ node }: ServiceRow, member: string): boolean {
  return node === member || node === "";
}

/** Puts into the log what is new. */
async function note(
  node: Services,
  { member, boot, offers, copies }: Omit<ServiceReport, "copies"> & { member: string; copies: ServiceReport["copies"] },
  reader: Reader,
  { writes }: CallContext,
): Promise<void> {
  const seen = (await node.get(SURROUNDINGS).members()).find((each) => each.node === member);
  const name = (seen?.name ?? "").slice(0, MAX_NAME);
  const before = nodeRows(reader).find((row) => row.node === member);
  const isSame = before?.boot === boot && before.offers === JSON.stringify(offers) && before.name === name;
  const isNew = !isSame && (before !== undefined || offers.length > 0);
  const said = copies.flatMap((each): Said[] => {
    const row = rowOf(reader, each);
    const { what, name, copy, n, seq, reason } = each;
    if (
      row?.boot !== boot ||
      !isOf(row, member) ||
      what === "starting" ||
      (what === "ready" && row.state !== "starting")
    )
      return [];
    return [{ name, copy, n, seq, what, reason }];
  });
  let offer = isNew ? { node: member, name, boot, services: offers } : null;
  for (let at = 0; offer !== null || at < said.length; at += MAX_AT_ONCE) {
    await writes.propose(serviceNote, { offer, said: said.slice(at, at + MAX_AT_ONCE), left: [] });
    offer = null;
  }
}
