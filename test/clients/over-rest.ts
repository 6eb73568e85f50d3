// What the checks look at on the node, past the client: documents and open streams, over HTTP.

import type { DevNode } from "../kit/dev-node.ts";

/** Returns the number of streams and waits that are open. */
export async function streamsOf(node: DevNode): Promise<number> {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  return Number(/^cairn_streams (\d+)$/m.exec(text)?.[1]);
}

/** Returns the bytes of a document as text. */
export async function readText(node: DevNode, id: string): Promise<string> {
  return await (await fetch(`${node.url}/contexts/${id}`)).text();
}

/** Writes plain text. Throws when the node refuses it. */
export async function writeText(node: DevNode, id: string, body: string): Promise<void> {
  const headers = { "content-type": "text/plain" };
  const { ok, status } = await fetch(`${node.url}/contexts/${id}`, { method: "PUT", headers, body });
  if (!ok) throw new Error(`PUT ${id} responded with ${status}`);
}

/** Calls an operation and returns its output. Throws when the node refuses it. */
export async function callOperation(node: DevNode, name: string, input: object): Promise<Record<string, unknown>> {
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify(input);
  const response = await fetch(`${node.url}/operations/${name}`, { method: "POST", headers, body });
  if (!response.ok) throw new Error(`${name} responded with ${response.status}: ${await response.text()}`);
  return (await response.json()) as Record<string, unknown>;
}
