// The text of a join ticket, and the proofs of both sides that they know it: first the asked node, then the joiner. A
// stranger learns nothing.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import { type FleetRole, ROLES } from "../rows.ts";

/** The content of a ticket. */
export interface Ticket {
  role: FleetRole;
  /** The joiner accepts no other fleet, whatever its name. */
  fleetId: string;
  /** 128 bits as hex. */
  secret: string;
}

const TEXT = /^cairn-ticket-(central|regional|edge)-([0-9a-f]{32})-([0-9a-f]{32})$/;

/** Returns 128 random bits as hex. */
export function drawSecret(): string {
  return randomBytes(16).toString("hex");
}

/** Returns the text of a ticket, which is a secret. */
export function ticketText({ role, fleetId, secret }: Ticket): string {
  return `cairn-ticket-${role}-${fleetId}-${secret}`;
}

/**
 * Reads a ticket. `from` says in messages where the text came from, such as a variable or a file. Fault
 * `config_invalid`, without the text, for anything else.
 */
export function parseTicket(text: string, from: string): Ticket {
  const match = TEXT.exec(text.trim());
  const role = ROLES.find((each) => each === match?.[1]);
  if (match?.[2] !== undefined && match[3] !== undefined && role !== undefined)
    return { role, fleetId: match[2], secret: match[3] };
  const what = counted(text.length, "character that is", "characters that are");
  throw new Fault("config_invalid", `${from} holds ${what} no ticket`, {
    hint: "Give it exactly as cairn ticket printed it: cairn-ticket-ROLE-…",
  });
}

/** Throws Fault `join_refused` where a node that is to join in this role has a ticket for another one. */
export function refuseOtherRole(role: FleetRole | undefined, ticket: Ticket | undefined): void {
  if (role === undefined || ticket === undefined || role === ticket.role) return;
  throw new Fault("join_refused", `The ticket is for the role ${ticket.role}, and this node is to join as ${role}`, {
    hint: `Leave the role out to join as ${ticket.role}, or create another ticket: cairn ticket --role ${role}.`,
    facts: { reason: "ticket_other_role" },
  });
}

/** Returns the hash under which the log keeps a ticket. */
export function hashOf(secret: string): string {
  return sha256(`cairn-ticket ${secret}`);
}

/** Returns the name of a ticket for a node that is not trusted yet; it reveals neither secret nor hash. */
export function nameOf(hash: string): string {
  return sha256(`cairn-ticket-name ${hash}`).slice(0, 32);
}

/**
 * Returns the proof that only a full member of the ticket's fleet can make. It is bound to the answering device, so
 * that it cannot be passed on.
 */
export function proofOf(
  hash: string,
  { nonce, fleetId, node }: { nonce: string; fleetId: string; node: string },
): string {
  return createHmac("sha256", hash)
    .update(JSON.stringify([nonce, fleetId, node]))
    .digest("hex");
}

/** Compares in constant time. */
export function sameProof(one: string, other: string): boolean {
  const [first, second] = [Buffer.from(one), Buffer.from(other)];
  return first.length === second.length && timingSafeEqual(first, second);
}

function sha256(text: string): string {
  return sha256Hex(text);
}
