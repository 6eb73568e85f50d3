// The text of a join ticket, and how both sides prove that they know it without showing it to a stranger: the asked node first, then the joiner.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { Fault } from "../../lib/fault.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import { type FleetRole, ROLES } from "../rows.ts";

/** What `cairn ticket` prints and a joiner is given. */
export interface Ticket {
  role: FleetRole;
  /** The joiner believes no other fleet, whatever its name. */
  fleetId: string;
  /** 128 bits as hex. */
  secret: string;
}

const TEXT = /^cairn-ticket-(central|regional|edge)-([0-9a-f]{32})-([0-9a-f]{32})$/;

/** 128 random bits as hex. */
export function drawSecret(): string {
  return randomBytes(16).toString("hex");
}

/** A ticket as it is handed over: a secret. */
export function ticketText({ role, fleetId, secret }: Ticket): string {
  return `cairn-ticket-${role}-${fleetId}-${secret}`;
}

/** Reads a ticket; Fault `config_invalid`, without its text, when it is none. */
export function parseTicket(text: string): Ticket {
  const match = TEXT.exec(text.trim());
  const role = ROLES.find((each) => each === match?.[1]);
  if (match?.[2] !== undefined && match[3] !== undefined && role !== undefined)
    return { role, fleetId: match[2], secret: match[3] };
  throw new Fault("config_invalid", `CAIRN_JOIN_TICKET holds ${text.length} characters that are no ticket`, {
    hint: "Give it exactly as cairn ticket printed it: cairn-ticket-ROLE-…",
  });
}

/** Under which the log knows a ticket. */
export function hashOf(secret: string): string {
  return sha256(`cairn-ticket ${secret}`);
}

/** By which a joiner names its ticket to a node that it does not trust yet: tells neither secret nor hash. */
export function nameOf(hash: string): string {
  return sha256(`cairn-ticket-name ${hash}`).slice(0, 32);
}

/** What only a full member of the ticket's fleet can answer; bound to the device that answers, so that nobody in between can pass it on. */
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
