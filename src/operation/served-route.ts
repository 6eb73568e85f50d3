// A route beside REST, as the MCP endpoint and the pages serve it. docs/routes.md is made from these and from the rows
// of rest-route.ts.

import type { Caller } from "../access/caller.ts";
import type { BodyHold } from "../lib/request-body.ts";
import type { Upgrade } from "../lib/socket.ts";
import type { PeerMember } from "../peer/server.ts";
import type { Services } from "./services.ts";

/** One path and what it serves. */
export interface ServedRoute {
  methods: readonly string[];
  /** The path; one that ends with `/` serves every path below it, except for `/` itself. */
  path: string;
  /** What it serves, in a few words. */
  summary: string;
  /** Which callers may use it, in words. */
  right: string;
}

/** Paths that a feature answers itself, byte for byte. No operation and no page is behind them. */
export interface ServedPaths {
  /** Its path ends with `/`. */
  route: ServedRoute;
  open(node: Services): PathServer;
  /** The same on edges; left out: they do not serve it. */
  openOnEdge?(node: Services): Pick<PathServer, "fetch">;
}

/** What is known of a request of a caller. */
export interface PathCall {
  caller: Caller;
  scheme: "http" | "https";
  /** What the body may take. */
  hold: BodyHold;
  /** Left out: the listener cannot make WebSockets. */
  upgrade?: Upgrade | undefined;
}

/** The member that passes a request on; an edge too. */
export interface PassedBy {
  node: string;
  member: PeerMember;
  hold: BodyHold;
  upgrade?: Upgrade | undefined;
  /** Whether it still may pass requests on. */
  stays: () => boolean;
}

/** Answers the requests, with `UPGRADED` what became a WebSocket. Rejects with Faults. */
export interface PathServer {
  /** Of a caller. */
  fetch(request: Request, call: PathCall): Promise<Response>;
  /** Of another member, for a caller of its own. */
  fetchPassed(request: Request, by: PassedBy): Promise<Response>;
}
