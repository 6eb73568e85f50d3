// The caller of a request, as the tailnet proves it (security.md 1). Ingress makes it and the gate judges it; what a
// client claims about itself is never part of it.

/** How the tailnet knows a caller. */
export type CallerKind = "user" | "tagged" | "shared" | "local";

/** A proven caller. Only node/listeners/callers.ts and the local listeners make one. */
export interface Caller {
  kind: CallerKind;
  /**
   * StableNodeID of the calling device. For local callers: `local` (cairn.sock), `local:bridge` (`/mcp` there), or
   * `local:dev` (the loopback listener of dev, of `npm start` without a key and of `--conformance`). A local caller of
   * another member's machine has `@<member id>` appended.
   */
  id: string;
  /** MagicDNS name of the device, for people; no judgement uses it. */
  node: string;
  /** Login of the user, or "" for tagged nodes and local callers. */
  login: string;
  tags: readonly string[];
  /** The device belongs to the user who owns this node, and neither is tagged. */
  own: boolean;
  /** Raw capability objects that the tailnet policy grants this caller on this node: hostile until `parseGrants`. */
  grants: readonly unknown[];
  /** The client asked for a read-only connection: all its roles count as reader. */
  readOnly?: true;
}

/** One read-only caller for each caller: the gate caches rights by the identity of the object. */
const readers = new WeakMap<Caller, Caller>();

/** Returns the caller with a read-only connection; for the same object always the same one. */
export function asReader(caller: Caller): Caller {
  const known = readers.get(caller);
  if (known !== undefined) return known;
  const reader: Caller = { ...caller, readOnly: true };
  readers.set(caller, reader);
  return reader;
}

/**
 * Returns the name of a caller in the audit, which is also the scope of its idempotency keys: the user, or the device
 * where there is no user, so that two devices without one stay apart.
 */
export function callerName(caller: Caller): string {
  if (caller.kind === "local") return caller.id;
  return caller.kind === "tagged" || caller.login === "" ? `node:${caller.id}` : `user:${caller.login}`;
}
