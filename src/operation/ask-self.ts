// Calls that the parts of a node make as the admin of their machine, and who such a caller is on the other side.

import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import { CALL_AS, FULL_MEMBERS } from "./node-parts.ts";
import type { Services } from "./services.ts";

const LOCAL: Caller = { kind: "local", id: "local", node: "", login: "", tags: [], own: false, grants: [] };

/** Calls an operation as the admin of this machine; returns its output. Rejects with its Faults. */
export async function askSelf(
  node: Services,
  operation: string,
  input: Record<string, unknown>,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  return (await node.get(CALL_AS)({ operation, input, caller: LOCAL, signal, exact: true })).output;
}

/** Returns the full member whose machine calls. Throws Fault `forbidden`. */
export function callingMember(node: Services, { kind, id, node: of }: Caller, hint: string): string {
  const members = node.get(FULL_MEMBERS);
  if (kind === "local" && id === "local") return members.self();
  if (kind === "local" && id === `local@${of}` && members.others().some((each) => each.node === of)) return of;
  throw new Fault("forbidden", "Only the full members of the fleet report their work", { hint });
}
