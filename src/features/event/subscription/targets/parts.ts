// What targets get of the node.

import { sha256Hex } from "../../../../lib/sha256.ts";
import type { TraceContext } from "../../../../lib/trace-context.ts";
import type { Connections } from "../../../../operation/connections.ts";
import type { Outbound } from "../../../../operation/node-parts.ts";
import type { CallbackKeys } from "../callback-keys.ts";
import type { ReadSecret } from "./address.ts";

/**
 * Returns the key under which one write is done once, however often it is tried: the same for the same message with the
 * same content, and another one where rules or target make something else of the event by then.
 */
export function onceKey(...parts: readonly string[]): string {
  return sha256Hex(JSON.stringify(parts)).slice(0, 40);
}

/** What targets work with. */
export interface TargetParts {
  /** Sends to the host's network, and to devices of the tailnet. */
  outbound: Outbound;
  tailnet: Outbound;
  connections: Connections;
  readSecret: ReadSecret;
  callbackKeys: CallbackKeys;
  /** Id of this fleet. */
  fleetId(): string;
  nowMs(): number;
}

/** Returns what reaches a target: the tailnet where its declaration says so, else the host's network. */
export function wayTo(
  { network }: { network?: "tailnet" | undefined },
  { outbound, tailnet }: Pick<TargetParts, "outbound" | "tailnet">,
): Outbound {
  return network === "tailnet" ? tailnet : outbound;
}

/** Calls an operation as the owner of a subscription, as a part of a trace. Rejects with its Fault. */
export type AskAsOwner = (
  operation: string,
  input: Record<string, unknown>,
  signal: AbortSignal,
  trace?: TraceContext,
) => Promise<unknown>;
