// A node's report of itself and its fleet, over its own socket: a process of the command line for each poll would cost
// more than what is waited for.

import type { NodeReport } from "../../src/fleet/index.ts";
import { eventually } from "./eventually.ts";
import type { TestNode } from "./node.ts";

/** Returns the response of node_status, as its machine's admin gets it. */
export async function reportOf(node: TestNode): Promise<NodeReport> {
  const { socket } = await node.ready();
  const answer = await fetch("http://cairn/operations/node_status", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
    unix: socket,
    keepalive: false,
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`node_status answered ${answer.status}: ${text}`);
  return JSON.parse(text);
}

/** Waits until the report of a node matches; a node that does not respond yet is polled again. */
export function untilReport(
  what: string,
  node: () => TestNode,
  fits: (found: NodeReport) => boolean,
): Promise<NodeReport> {
  let last: NodeReport | undefined;
  return eventually(
    what,
    async () => {
      last = await reportOf(node()).catch(() => undefined);
      return last !== undefined && fits(last) ? last : undefined;
    },
    { seen: () => `${JSON.stringify([last?.fleet, last?.members])}\n${node().stderr}\n${node().stdout}` },
  );
}

/** Returns the names of the members that vote, sorted. */
export function votersOf(found: NodeReport): string {
  const names = found.members.filter(({ votes }) => votes).map(({ name }) => name);
  return names.sort().join(" ");
}
