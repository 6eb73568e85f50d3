// The rows of the table of routes as api/ uses them: those of features, and the node's own, which call no operation.

import type { Caller } from "../access/caller.ts";
import type { BodyHold } from "../lib/request-body.ts";
import type { Upgrade } from "../lib/socket.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { RestRoute, RouteShape } from "../operation/rest-route.ts";
import type { NodeFacts } from "./node-facts.ts";
import type { Json } from "./openapi-parts.ts";

/** A row of the table. */
export type Row = RestRoute | NodeRoute;

/** A row of the node itself. */
export interface NodeRoute extends RouteShape {
  /** Which callers may use it, in words, for docs/routes.md. */
  right: string;
  /** Parameters, body and responses as OpenAPI has them, without problems. */
  parts: { parameters?: readonly Json[]; requestBody?: Json; responses: Json };
  /** Whether /openapi.json has a path for each operation in place of this row. */
  perOperation?: true;
  /** Statuses of problems. */
  errors: readonly number[];
  /** Returns the response; the query has been judged. Throws Faults. */
  respond(call: RouteCall, node: NodeSurface): Response | Promise<Response>;
}

/** What the node's own routes respond from. */
export interface NodeSurface {
  invoker: Invoker;
  facts: NodeFacts;
  /** The text of /openapi.json. */
  description(): string;
}

/** One request to a row. */
export interface RouteCall {
  request: Request;
  caller: Caller;
  /** What its body holds while it is read and answered. */
  hold: BodyHold;
  /** Values of the path's parameters. */
  params: PathValues;
  /** Turns the request into a WebSocket. Left out: the listener has none. */
  upgrade?: Upgrade | undefined;
}

/** Values of the parameters of a path, decoded. */
export type PathValues = Readonly<Record<string, string | number>>;
