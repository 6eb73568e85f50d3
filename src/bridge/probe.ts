// Asks a node what it is before calls go there: whether it is ready and lets this caller in, its role, where it stands, and who the bridge is to it.

import { parseObject } from "../lib/json-object.ts";
import { NotSent, type Sender, SHUT_OUT } from "./endpoint.ts";

/** What a live node says of itself. */
export interface Probed {
  fleet: string;
  /** `<epoch>-<seq>`. */
  position: string;
  isEdge: boolean;
  /** Round trip of a small request, in ms. */
  roundTripMs: number;
}

/** The node answers, and refuses this caller. */
export class Shut extends Error {}

/** Whether it is ready. Rejects when it is not, or does not answer before the signal aborts. */
export async function askReady(node: Sender, signal: AbortSignal): Promise<void> {
  await ask(node, "GET", "/ready", signal);
}

/** Probes a node. Rejects with Shut, or with why it is not live. */
export async function probe(node: Sender, signal: AbortSignal): Promise<Probed> {
  await askReady(node, signal);
  // The connection is there now, so this is the round trip.
  const startMs = performance.now();
  const body = await ask(node, "GET", "/.well-known/cairn", signal);
  const { fleet_id: fleet, position, role } = body;
  if (typeof fleet !== "string" || typeof position !== "string") throw new NotSent("it is no cairn node");
  return { fleet, position, isEdge: role === "edge", roundTripMs: performance.now() - startMs };
}

/** Who the bridge is to this node. */
export async function askCaller(node: Sender, signal: AbortSignal): Promise<string> {
  const { caller } = await ask(node, "POST", "/operations/whoami", signal);
  if (typeof caller !== "string") throw new NotSent("it does not say who asks it");
  return caller;
}

/** What it knows of itself and its fleet; rejects where it does not tell. */
export async function askMembers(node: Sender, signal: AbortSignal): Promise<unknown> {
  return ask(node, "POST", "/operations/node_status", signal);
}

async function ask(
  node: Sender,
  method: "GET" | "POST",
  path: string,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const headers = { accept: "application/json", ...(method === "POST" ? { "content-type": "application/json" } : {}) };
  const response = await node.send(path, { method, headers, signal, ...(method === "POST" ? { body: "{}" } : {}) });
  const body = parseObject(await response.text()) ?? {};
  if (response.ok) return body;
  const said = typeof body["detail"] === "string" ? `: ${body["detail"]}` : "";
  if (SHUT_OUT.has(response.status)) throw new Shut(`it refuses this caller (${response.status}${said})`);
  throw new NotSent(response.status === 503 ? "it is not ready" : `it answers ${path} with ${response.status}${said}`);
}

/** Epoch and seq of a position; seq 0 of no epoch for what is none. */
export function partsOf(position: string): { epoch: string; seq: number } {
  const at = position.lastIndexOf("-");
  const seq = Number(position.slice(at + 1));
  return at > 0 && Number.isSafeInteger(seq) ? { epoch: position.slice(0, at), seq } : { epoch: "", seq: 0 };
}
