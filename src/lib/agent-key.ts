// Names, handles and keys of agents. A handle is the secret that an agent shows; a key is its SHA-256, the only form in
// which anything behind the door of a node has it. Drawing one: new-handle.ts.

import { Fault } from "./fault.ts";
import { sha256Hex } from "./sha256.ts";

/** Most characters of an agent's name. */
export const MAX_AGENT_NAME = 64;
/** The name of an agent. Two names that differ in case alone are one. */
export const AGENT_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** A key: hex SHA-256. */
export const AGENT_KEY = /^[0-9a-f]{64}$/;
const HANDLE = /^agent-[0-9a-f]{32}$/;

/** Reports whether a text has the form of a handle. */
export function isHandle(text: string): boolean {
  return HANDLE.test(text);
}

/**
 * Returns the key of a handle. Throws Fault `invalid_input`, whose text does not hold what was given; its hint begins
 * with what `example` returns.
 */
export function agentKeyOf(handle: unknown, example: () => string = () => ""): string {
  if (typeof handle === "string" && isHandle(handle)) return sha256Hex(handle);
  throw new Fault("invalid_input", "What was given as the handle of an agent is none", {
    hint:
      `${example()}A handle is agent- and 32 hexadecimal digits; agent_register returns it. ` +
      "It is not the agent's name.",
    details: { field: "as" },
  });
}

/** Returns the form of an agent's name by which names are compared. */
export function foldedAgentName(name: string): string {
  // Names are ASCII, so this is the same everywhere.
  return name.toLowerCase();
}
