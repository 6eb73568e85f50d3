// Real MCP clients of both protocol eras, and the notifications that they received.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { PATIENCE_MS } from "./eventually.ts";

export type Era = "legacy" | "modern";
export const ERAS: readonly Era[] = ["legacy", "modern"];

export interface Connected extends AsyncDisposable {
  client: Client;
  transport: StreamableHTTPClientTransport;
  /** URIs of `notifications/resources/updated`, in the order received. */
  updated: string[];
  /** Number of notifications that the list of resources changed. */
  listChanges: () => number;
  /** Subscribes to these contexts in the way of the era. */
  watch(uris: string[]): Promise<void>;
}

/** Connects with the SDK's client; `as` names the caller to the test server. */
export async function connect(url: string, era: Era, as = "default"): Promise<Connected> {
  const client = newClient(era);
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    requestInit: { headers: { "x-test-caller": as } },
  });
  const updated: string[] = [];
  let listChanges = 0;
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => void updated.push(params.uri));
  client.setNotificationHandler("notifications/resources/list_changed", () => void listChanges++);
  await client.connect(transport);
  return {
    client,
    transport,
    updated,
    listChanges: () => listChanges,
    watch: async (uris) => {
      if (era === "legacy") for (const uri of uris) await client.subscribeResource({ uri });
      else await client.listen({ resourceSubscriptions: uris, resourcesListChanged: true });
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

/** Returns a client of that era that is not connected. */
export function newClient(era: Era): Client {
  const info = { name: "test", version: "0" };
  return era === "modern" ? new Client(info, { versionNegotiation: { mode: "auto" } }) : new Client(info);
}

/** Waits until `condition` holds; fails after `withinMs` with what was seen. */
export async function until(condition: () => boolean, seen: () => unknown, withinMs = PATIENCE_MS): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms; seen: ${JSON.stringify(seen())}`);
    await Bun.sleep(5);
  }
}

/** Returns the JSON of a tool's text; in a failed call a sentence is before it. */
export function textOf(result: { content?: unknown }): Record<string, unknown> {
  const block = Array.isArray(result.content) ? result.content.at(-1) : undefined;
  return JSON.parse(typeof block?.text === "string" ? block.text : "null");
}
