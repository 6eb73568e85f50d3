// Who is asking, as the tailnet proves it (security.md 1): the shape that ingress hands over and every gate judges. Claims of clients never enter here.

/** How the tailnet knows a caller. */
export type CallerKind = "user" | "tagged" | "shared" | "local";

/** A proven caller; made by node/listeners/callers.ts and the local doors, nowhere else. */
export interface Caller {
  kind: CallerKind;
  /** StableNodeID of the calling device; `local` for cairn.sock, `local:bridge` for `/mcp` there, `local:dev` for the loopback listener of dev, `npm start` without a key and `--conformance`; one of these and `@<member id>` for a caller of another member's machine. */
  id: string;
  /** MagicDNS name of the device, for people; never judged by. */
  node: string;
  /** Login of the user, or "" for tagged nodes and local callers. */
  login: string;
  tags: readonly string[];
  /** The device belongs to the user who owns this node, and neither is tagged. */
  own: boolean;
  /** Raw capability objects that the tailnet policy grants this caller on this node: hostile until `parseGrants`. */
  grants: readonly unknown[];
  /** The client asked to read only: whatever the caller may do else, by this connection it is a reader. */
  readOnly?: true;
}

/** The name of a caller in the audit and as scope of idempotency keys (architecture.md 5): the user, or the node where there is none: two without a user are not one. */
export function callerName(caller: Caller): string {
  if (caller.kind === "local") return caller.id;
  return caller.kind === "tagged" || caller.login === "" ? `node:${caller.id}` : `user:${caller.login}`;
}
