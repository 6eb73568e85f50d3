// Asks a node about itself before calls are sent to it: whether it is ready and accepts this caller, its fleet, role
// and position, and who the bridge is to it.

import { parseObject } from "../../lib/json-object.ts";
import { REFUSED_STATUSES, type Send } from "../endpoint.ts";
import { NotReadyError, NotSentError, RefusedError } from "../errors.ts";

/** What a live node says about itself. */
export interface ProbeResult {
  /** Id of its fleet. */
  fleet: string;
  /** `<epoch>-<seq>`. */
  position: string;
  isEdge: boolean;
  /** Round trip of a small request, in ms. */
  roundTripMs: number;
}

/** Resolves when the node is ready. Rejects with NotReadyError, RefusedError, or as `Send` does. */
export async function checkReady(send: Send, signal: AbortSignal): Promise<void> {
  await ask(send, "GET", "/ready", signal);
}

/** Probes a node. Rejects as `checkReady` does, and with NotSentError when the node is not one of ours. */
export async function probe(send: Send, signal: AbortSignal): Promise<ProbeResult> {
  await checkReady(send, signal);
  // The connection is open now, so this measures the round trip alone.
  const startMs = performance.now();
  const body = await ask(send, "GET", "/.well-known/cairn", signal);
  const { fleet_id: fleet, position, role } = body;
  if (typeof fleet !== "string" || typeof position !== "string") throw new NotSentError("it is not a cairn node");
  return { fleet, position, isEdge: role === "edge", roundTripMs: performance.now() - startMs };
}

/** Returns who the bridge is to this node. */
export async function fetchCaller(send: Send, signal: AbortSignal): Promise<string> {
  const { caller } = await ask(send, "POST", "/operations/whoami", signal);
  if (typeof caller !== "string") throw new NotSentError("it does not name its caller");
  return caller;
}

/** Returns the node's own report, which names the members of its fleet. Rejects where this caller may not see it. */
export async function fetchStatus(send: Send, signal: AbortSignal): Promise<unknown> {
  return ask(send, "POST", "/operations/node_status", signal);
}

async function ask(
  send: Send,
  method: "GET" | "POST",
  path: string,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const headers = { accept: "application/json", ...(method === "POST" ? { "content-type": "application/json" } : {}) };
  const response = await send(path, { method, headers, signal, ...(method === "POST" ? { body: "{}" } : {}) });
  const body = parseObject(await response.text()) ?? {};
  if (response.ok) return body;
  const { status } = response;
  const detail = typeof body["detail"] === "string" ? `: ${body["detail"]}` : "";
  if (REFUSED_STATUSES.has(status)) throw new RefusedError(`it refuses this caller (${status}${detail})`);
  throw status === 503 ? new NotReadyError() : new NotSentError(`it answers ${path} with ${status}${detail}`);
}

/** Returns epoch and sequence number of a position; seq 0 of no epoch for a text that is not one. */
export function positionParts(position: string): { epoch: string; seq: number } {
  const at = position.lastIndexOf("-");
  const seq = Number(position.slice(at + 1));
  return at > 0 && Number.isSafeInteger(seq) ? { epoch: position.slice(0, at), seq } : { epoch: "", seq: 0 };
}
