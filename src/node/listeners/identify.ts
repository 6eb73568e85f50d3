// Identifies the caller of a request, by listener: ingress by the secret of the Go half, the local socket by file
// rights, loopback (development) by Host and Origin.

import { timingSafeEqual } from "node:crypto";
import type { Caller } from "../../access/caller.ts";
import { Fault } from "../../lib/fault.ts";
import { judgeHostAndOrigin } from "../../lib/host-origin.ts";
import { isMcpPath } from "../../mcp/index.ts";
import type { Callers } from "./callers.ts";
import type { IdentifyCaller } from "./listen.ts";

const SECRET = "cairn-internal-secret";
const CALLER = "cairn-internal-caller";
const SCHEME = "cairn-internal-scheme";

/** Identifies requests from the tailnet: the secret of this start proves the Go half, its header names the caller. */
export function identifyIngress(secret: string, callers: Callers): IdentifyCaller {
  const expected = Buffer.from(secret);
  return (request) => {
    const { headers } = request;
    const shown = Buffer.from(headers.get(SECRET) ?? "");
    const wire = headers.get(CALLER);
    headers.delete(SECRET);
    headers.delete(CALLER);
    if (shown.length !== expected.length || !timingSafeEqual(shown, expected)) {
      throw new Fault("forbidden", "This socket is for the tailnet half of cairn", {
        hint: "Use the tailnet address, or the local socket.",
      });
    }
    if (wire === null) throw new Fault("internal", "The tailnet half did not say who is calling");
    return callers.of(wire);
  };
}

/**
 * Identifies requests on the local socket: any process that may open the file is an admin of this node, and on the
 * paths of MCP, where `cairn bridge` speaks for agents, a member.
 */
export function identifyLocal(): IdentifyCaller {
  const admin = localCaller("local");
  const bridge = localCaller("local:bridge");
  return (request, path) => {
    removeInternal(request.headers);
    return isMcpPath(path) ? bridge : admin;
  };
}

/**
 * Identifies requests on a port of 127.0.0.1, for development and the conformance suite: anyone on this machine, as a
 * member. Refuses pages of other origins.
 */
export function identifyLoopback(port: () => number, origins: readonly string[]): IdentifyCaller {
  const caller = localCaller("local:dev");
  return (request) => {
    removeInternal(request.headers);
    const hosts = ["127.0.0.1", "localhost", "[::1]"].map((name) => `${name}:${port()}`);
    const refusal = judgeHostAndOrigin(request, { hosts, origins });
    if (refusal !== undefined) throw refusal;
    return caller;
  };
}

/** Returns the caller of a local way in. */
export function localCaller(id: "local" | "local:bridge" | "local:dev"): Caller {
  return { kind: "local", id, node: "this machine", login: "", tags: [], own: false, grants: [] };
}

function removeInternal(headers: Headers): void {
  for (const name of [SECRET, CALLER, SCHEME]) headers.delete(name);
}
