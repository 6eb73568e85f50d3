// What HTTP says of the node itself: health, readiness, metrics, the description of the surface, and what it is (architecture.md 8). The facts come from the node; here is who may hear which (security.md 17).

import { Hono } from "hono";
import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import type { Invoker } from "../operation/invoke.ts";
import { answer, answerJson } from "./answer.ts";
import type { ApiEnv } from "./env.ts";
import { openApi } from "./openapi.ts";
import { readQuery } from "./request.ts";

/** What /health and /ready answer from. */
export interface Health {
  /** Whether the node can serve reads and writes now. */
  ready: boolean;
  status: "ok" | "warning" | "failing";
  /** Shown to readers only (security.md 17). */
  conditions: readonly unknown[];
}

/** What the node is, for /.well-known/cairn. */
export interface Identity {
  /** Random id of the fleet, and its name. */
  fleetId: string;
  fleet: string;
  /** StableNodeID of the member that orders writes; "" while nobody is known to. */
  leader: string;
  role: "central" | "regional" | "edge";
  /** Path of each surface by its name. */
  surfaces: Readonly<Record<string, string>>;
}

export interface NodeFacts {
  version: string;
  health: () => Health;
  identity: () => Identity;
  /** Whether a caller without rights may know which fleet this is, since it could join. */
  isCandidate?: (caller: Caller) => boolean;
  /** The metrics in Prometheus' text format. */
  metrics: () => string;
  nowMs: () => number;
}

export function nodeRoutes(invoker: Invoker, facts: NodeFacts): Hono<ApiEnv> {
  const routes = new Hono<ApiEnv>();
  const hasRights = (caller: Caller): boolean => invoker.rights(caller).permitsAnything();

  const health = (request: Request, caller: Caller, ready: boolean): Promise<Response> => {
    readQuery(request.url, []);
    const { status, conditions } = facts.health();
    const body = {
      status,
      ready: facts.health().ready,
      timestamp: new Date(facts.nowMs()).toISOString(),
      version: facts.version,
      ...(hasRights(caller) ? { conditions } : {}),
    };
    return answerJson(request, body, ready ? {} : { status: 503, headers: { "Retry-After": "1" } });
  };
  routes.get("/health", (c) => health(c.req.raw, c.env.caller, true));
  routes.get("/ready", (c) => health(c.req.raw, c.env.caller, facts.health().ready));

  routes.get("/metrics", (c) => {
    readQuery(c.req.url, []);
    // Numbers over all spaces are for those who may read all of them, by that very word: no sum of narrower grants.
    const allowed = invoker.rights(c.env.caller).mayUseEverywhere({ verb: "read", operation: "metrics" });
    if (!allowed) throw forbidden("/metrics", 'the role reader on "*"');
    return answer(c.req.raw, { text: facts.metrics(), type: "text/plain; version=0.0.4; charset=utf-8" });
  });

  const description = JSON.stringify(openApi(invoker, facts.version));
  routes.get("/openapi.json", (c) => {
    readQuery(c.req.url, []);
    if (!hasRights(c.env.caller)) throw forbidden("/openapi.json", "the role reader in some space");
    return answer(c.req.raw, { text: description, type: "application/json" });
  });

  routes.get("/.well-known/cairn", (c) => {
    readQuery(c.req.url, []);
    const candidate = !hasRights(c.env.caller);
    if (candidate && facts.isCandidate?.(c.env.caller) !== true)
      throw forbidden("/.well-known/cairn", "the role reader in some space, or the fleet's own tag");
    const { fleetId, fleet, leader, role, surfaces } = facts.identity();
    const position = invoker.position();
    return answerJson(c.req.raw, {
      version: facts.version,
      fleet,
      fleet_id: fleetId,
      leader,
      epoch: position.split("-")[0],
      position,
      role,
      surfaces,
    });
  });
  return routes;
}

function forbidden(path: string, role: string): Fault {
  return new Fault("forbidden", `Reading ${path} needs ${role}`, {
    hint: "Call whoami to see which grants you have.",
  });
}
