// The fleet bridge in this process, over lines in the newer era, with times short enough for tests.

import { type AgentOptions, AgentRoute, FleetRoute, type FleetTimes, runBridge } from "../../src/bridge/index.ts";
import { PATIENCE_MS } from "./eventually.ts";
import { until } from "./mcp-client.ts";

const TIMES: Partial<FleetTimes> = {
  heartbeatMs: 50,
  heartbeatTimeoutMs: 100,
  probeMs: 500,
  retryForMs: 3000,
  catchUpMs: 1000,
};

/** A message that the bridge wrote. */
export type Json = Record<string, unknown> & {
  result?: { structuredContent?: Record<string, unknown>; isError?: boolean; _meta?: Record<string, unknown> };
  error?: { code: number; message: string; data?: { code?: string } };
  params?: Record<string, unknown>;
};

/** Returns the fault in the result of a failed tool call, as programs read it. */
export function faultOf({ result }: Pick<Json, "result">): Record<string, unknown> {
  if (result?.isError !== true) throw new Error(`no failed call: ${JSON.stringify(result)}`);
  return result._meta?.["cairn.internal/fault"] as Record<string, unknown>;
}

/** Runs the bridge in this process over lines, with these members; `stop` ends it. */
export function fleetBridge(
  given: readonly { url: string }[],
  options: { file?: string; times?: Partial<FleetTimes>; preferEdges?: boolean; agent?: AgentOptions } = {},
) {
  const written: Json[] = [];
  const log: string[] = [];
  const lines = new TransformStream<string, string>();
  const writer = lines.writable.getWriter();
  const end = new AbortController();
  const line = (level: string, message: string) => void log.push(`${level}: ${message}`);
  const route = new FleetRoute({
    given: given.map(({ url }) => ({ name: url, address: () => ({ url }) })),
    memberAddress: (url) => ({ url }),
    cacheFile: options.file,
    preferEdges: options.preferEdges === true,
    signal: end.signal,
    log: line,
    times: { ...TIMES, ...options.times },
  });
  const done = runBridge({
    route: options.agent === undefined ? route : new AgentRoute(route, options.agent),
    stdin: lines.readable,
    stdout: {
      write: (text, finished) => {
        written.push(JSON.parse(text));
        finished();
      },
    },
    signal: end.signal,
    log: line,
  });
  let last = 0;
  const post = async (method: string, params: Record<string, unknown> = {}) => {
    const id = ++last;
    await writer.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, _meta: META } })}\n`);
    return id;
  };
  const answer = async (id: number, withinMs = PATIENCE_MS): Promise<Json> => {
    const find = () => written.find((message) => message["id"] === id);
    await until(
      () => find() !== undefined,
      () => [written, log],
      withinMs,
    );
    return find() ?? {};
  };
  return {
    written,
    log,
    post,
    answer,
    write: (text: string) => writer.write(text),
    call: async (name: string, args: Record<string, unknown>) =>
      answer(await post("tools/call", { name, arguments: args })),
    warnings: () => log.filter((each) => each.startsWith("warning")),
    stop: async () => {
      end.abort();
      await done;
    },
  };
}

/** The envelope of its requests. */
export const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};
