// fleet_ticket_create: a ticket admits one device in one role within 15 minutes of log time. The caller draws the
// secret; the log has only its SHA-256.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { write } from "../../operation/define.ts";
import type { Writer } from "../../store/store.ts";
import { ticketState } from "../row-states.ts";
import { fleetValue, nodeId, ROLES, spaceList, writeTicket } from "../rows.ts";

/** How long tickets and approvals are valid, in ms of log time. */
export const TICKET_MS = 15 * 60_000;
const MAX_TICKETS = 64;

/** The command that creates a ticket. */
export const fleetTicketCreate = write({
  name: "fleet_ticket_create",
  v: 1,
  title: "Make a join ticket",
  description:
    "Lets one device join with this role within 15 minutes. The caller draws 128 random bits and gives their " +
    "SHA-256 only; cairn ticket does that.",
  input: z.object({
    hash: z.string().regex(/^[0-9a-f]{64}$/, "a SHA-256 as 64 hex digits"),
    role: z.enum(ROLES),
    spaces: spaceList.optional().describe("What an edge may keep; left out: all spaces."),
    node: nodeId.optional().describe("Only this device may use it; left out: any."),
  }),
  example: {
    hash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    role: "edge",
    spaces: ["team-a"],
  },
  samples: { node: "nGUESTCNTRL" },
  output: z.object({ fleet_id: z.string(), role: z.enum(ROLES), expires_at: z.string() }),
  access: { verb: "admin", spaces: ["fleet"] },
  prepare: ({ hash, role, spaces, node }) => ({ hash, role, spaces: spaces ?? ["*"], node: node ?? "" }),
  apply(tx, { hash, role, spaces, node }, stamp) {
    forgetTickets(tx, stamp.timeMs);
    const open = tx.get<{ n: number }>("SELECT COUNT(*) AS n FROM tickets")?.n ?? 0;
    if (open >= MAX_TICKETS) {
      throw new Fault("rate_limited", `${open} tickets and approvals of the last 15 minutes are kept`, {
        hint: "Wait until one of them has expired.",
        details: { retryAfterSeconds: 60 },
      });
    }
    if (tx.get("SELECT hash FROM tickets WHERE hash = ?", hash) !== undefined)
      throw new Fault("invalid_input", "This ticket exists already", { hint: "Draw another secret." });
    const expiresMs = stamp.timeMs + TICKET_MS;
    writeTicket(tx, { hash, role, spaces, node, expiresMs, madeBy: stamp.caller });
    return {
      output: { fleet_id: fleetValue(tx, "fleet_id"), role, expires_at: new Date(expiresMs).toISOString() },
      changes: [
        {
          target: `fleet/tickets/${hash.slice(0, 8)}`,
          version: 0,
          contentHash: "",
          outcome: "created",
          state: ticketState(tx, hash),
        },
      ],
    };
  },
});

/** Deletes tickets and approvals that have expired at this log time. */
export function forgetTickets(tx: Writer, nowMs: number): void {
  tx.run("DELETE FROM tickets WHERE expires_at <= ?", nowMs);
}
