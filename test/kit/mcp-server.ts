// The MCP endpoint behind a real HTTP server, on a loopback port or a unix socket. Tests name the caller by a header;
// in the product a listener proves it.

import type { Caller } from "../../src/access/caller.ts";
import { FEATURES } from "../../src/features/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { judgeHostAndOrigin } from "../../src/lib/host-origin.ts";
import { createMcp } from "../../src/mcp/index.ts";
import type { Feature } from "../../src/operation/feature.ts";
import { type Core, callerWith } from "./core.ts";

export interface McpServerOptions {
  conformance?: boolean;
  /** Callers by the name that a test sends in `x-test-caller`; a request without one is `default`. */
  callers?: Record<string, Caller>;
  /** Shorter keep-alive intervals, for tests that should not take long. */
  keepAliveMs?: number;
  /** Those of the build where left out. */
  features?: readonly Feature[];
  unix?: string;
  port?: number;
  /** Where sessions are kept over a restart. */
  sessionsFile?: string;
  log?: (line: string) => void;
}

/** A member with access to everything. */
export const member: Caller = callerWith({ id: "nMEMBER", own: true });

export function startMcpServer(core: Core, options: McpServerOptions = {}) {
  const lines: string[] = [];
  const log = options.log ?? ((line: string) => lines.push(line));
  const callers: Record<string, Caller> = { default: member, ...options.callers };
  const mcp = createMcp({
    invoker: core.invoker,
    features: options.features ?? FEATURES,
    version: "0.0.0-test",
    conformance: options.conformance === true,
    ...(options.keepAliveMs === undefined ? {} : { keepAliveMs: options.keepAliveMs }),
    ...(options.sessionsFile === undefined ? {} : { sessionsFile: options.sessionsFile }),
    log: (level, message) => log(`${level}: ${message}`),
  });
  const fetch = async (request: Request): Promise<Response> => {
    const caller = callers[request.headers.get("x-test-caller") ?? "default"];
    if (caller === undefined) return new Response("no such caller", { status: 403 });
    if (options.unix === undefined) {
      const hosts = ["127.0.0.1", "localhost", "[::1]"].map((name) => `${name}:${server.port}`);
      const refusal = judgeHostAndOrigin(request, { hosts, origins: [] });
      if (refusal instanceof Fault) return Response.json({ code: refusal.code }, { status: 403 });
    }
    return mcp.fetch(request, caller);
  };
  // Bun's types know idleTimeout only for ports, though it works for sockets too.
  const quiet = { idleTimeout: 0 };
  const server =
    options.unix === undefined
      ? Bun.serve({ fetch, ...quiet, hostname: "127.0.0.1", port: options.port ?? 0 })
      : Bun.serve(Object.assign({ fetch, unix: options.unix }, quiet as object));
  return {
    mcp,
    callers,
    lines,
    url: `http://127.0.0.1:${server.port}/mcp`,
    stop: async () => {
      await mcp.close();
      await server.stop(true);
    },
    [Symbol.asyncDispose]: async () => {
      await mcp.close();
      await server.stop(true);
    },
  };
}

export type McpServer = ReturnType<typeof startMcpServer>;
