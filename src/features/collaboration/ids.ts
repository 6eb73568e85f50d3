// Names of shared-context-server and what they are here: integer ids of messages, and tokens. Each is the same value in
// another spelling, so none has to be kept and none tells of another.

import { Fault } from "../../lib/fault.ts";

/** Largest id of a message as a number: 12 hexadecimal digits, which every JSON parser keeps. */
export const MAX_MESSAGE_NUMBER = 0xffff_ffff_ffff;

/** Returns the number of a message `m_<12 hex>`. It says nothing of other messages: ids are hashes. */
export function numberOf(message: string): number {
  return Number.parseInt(message.slice("m_".length), 16);
}

/** Returns the message of a number. */
export function messageOf(number: number): string {
  return `m_${number.toString(16).padStart(12, "0")}`;
}

const TOKEN = /^sct_([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})$/;

/** Returns the handle of an agent as a token, `sct_` and a UUID. */
export function tokenOf(handle: string): string {
  const hex = handle.slice("agent-".length);
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)];
  return `sct_${parts.join("-")}`;
}

/** Returns the handle in a token. Throws Fault `agent_unknown`, whose text does not hold what was given. */
export function handleIn(token: string): string {
  const found = TOKEN.exec(token);
  if (found !== null) return `agent-${found.slice(1).join("")}`;
  throw new Fault("agent_unknown", "The token is none that authenticate_agent returned here", {
    hint: "Call authenticate_agent for a new one, or leave the token out to act as your caller itself.",
  });
}
