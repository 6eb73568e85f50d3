// The only Bun.serve. A listener is a unix socket or a loopback port, with a function that identifies the caller.
// Listeners for callers serve the same surfaces, the one for peers only theirs.

import { chmodSync, lstatSync, rmSync } from "node:fs";
import type { Caller } from "../../access/caller.ts";
import { problemResponse, SAFE_HEADERS } from "../../api/index.ts";
import { Fault } from "../../lib/fault.ts";
import { pause } from "../../lib/pause.ts";
import type { BodyBudget, BodyHold } from "../../lib/request-body.ts";
import { type SocketHandlers, UPGRADED, type Upgrade } from "../../lib/socket.ts";
import { logUnexpected, unexpectedFault } from "../../lib/unexpected.ts";
import { isMcpPath } from "../../mcp/index.ts";
import type { LogLine } from "../../observe/logging.ts";
import type { PathServer } from "../../operation/served-route.ts";
import { isPagePath } from "../../web/index.ts";
import { preflight, sharedOrigin, shareWith } from "./cors.ts";

/** Set by the Go half on each request of the tailnet. */
const SCHEME_HEADER = "cairn-internal-scheme";
/** Makes the Go half close the caller's connection. */
const CLOSE_HEADER = "cairn-internal-close";
const SAFE_ENTRIES = Object.entries(SAFE_HEADERS);
/** How often a listener that stops checks whether requests still run. */
const DRAIN_LOOK_MS = 10;

/** Answers requests of an identified caller. */
export interface Surface {
  fetch(request: Request, caller: Caller, hold: BodyHold, upgrade?: Upgrade): Promise<Response>;
}

/** What a node serves to callers. */
export interface Surfaces {
  api: Surface;
  mcp: Surface;
  /** Resolves with undefined for paths that are not its own. */
  web: {
    fetch(request: Request, caller: Caller, scheme: "http" | "https", hold: BodyHold): Promise<Response | undefined>;
  };
  /** Paths that features answer themselves, by their beginning. */
  served?: readonly { prefix: string; server: Pick<PathServer, "fetch"> }[];
}

/** Returns who is calling, and removes the headers that only it may read. Throws a Fault to refuse the request. */
export type IdentifyCaller = (request: Request, path: string) => Caller | Promise<Caller>;

export interface ListenOptions {
  /** A unix socket that is made with `mode`, or a port on 127.0.0.1 (0: any free one). */
  at: { unix: string; mode: number } | { loopbackPort: number };
  identify: IdentifyCaller;
  /** The surfaces of the product, chosen by path, or one surface for the whole listener. */
  surfaces: Surfaces | Surface;
  /** The bodies in flight of all callers of the surfaces, each as large as this listener takes. */
  bodies: BodyBudget;
  /** Reports whether a caller has any right here. Left out: the surface itself knows whom it serves. */
  hasRights?: (caller: Caller) => boolean;
  /** Origins whose pages may read the answers; the listeners and the Go half refuse all others. */
  origins: readonly string[];
  /** True while the node stops: new requests are refused, running ones finish. */
  draining: () => boolean;
  log: LogLine;
}

/** An open listener. */
export interface Listener {
  /** The port of a loopback listener, 0 for a socket. */
  port: number;
  /** Stops listening and waits at most this long for running requests; then closes their connections. */
  stop(withinMs: number): Promise<void>;
}

/** Largest message of a client in bytes; larger events come by POST. */
const MAX_MESSAGE_BYTES = 2 * 1024 * 1024;
/** A socket whose client does not even answer pings, which are sent before, is closed after this time, in seconds. */
const IDLE_SECONDS = 60;

const SOCKETS: Bun.WebSocketHandler<SocketHandlers> = {
  maxPayloadLength: MAX_MESSAGE_BYTES,
  idleTimeout: IDLE_SECONDS,
  sendPings: true,
  open: (socket) =>
    socket.data.opened({
      send: (message) =>
        void (typeof message === "string"
          ? socket.sendText(message)
          : socket.sendBinary(message as Uint8Array<ArrayBuffer>)),
      buffered: () => socket.getBufferedAmount(),
      close: (code, reason) => socket.close(code, reason),
      terminate: () => socket.terminate(),
    }),
  message: (socket, data) => socket.data.message(data),
  drain: (socket) => socket.data.drained(),
  close: (socket, code, reason) => socket.data.closed(code, reason),
};

/** Opens a listener. */
export function listen(options: ListenOptions): Listener {
  const { at } = options;
  if ("unix" in at) removeStaleSocket(at.unix);
  const common = {
    // Bun would refuse a larger body without a word; `readBytes` does it with a message.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    // Bun sends nothing where the answer is undefined: the request became a WebSocket.
    fetch: (request: Request, server: Bun.Server<SocketHandlers>) =>
      answer(request, options, (handlers, protocol = "") =>
        // Left out, Bun would choose the first subprotocol that the client offers.
        server.upgrade(request, { data: handlers, headers: { "sec-websocket-protocol": protocol } }),
      ) as Promise<Response>,
    websocket: SOCKETS,
    error: (error: Error) => refusal(error, options.log),
  };
  // A quiet stream lives as long as its client; deadlines for hostile clients are the Go half's. Bun's types have
  // idleTimeout for ports only, though it works for sockets too.
  const quiet = { idleTimeout: 0 };
  const server =
    "unix" in at
      ? Bun.serve(Object.assign({ ...common, unix: at.unix }, quiet as object))
      : onPort(at.loopbackPort, (port) => Bun.serve({ ...common, ...quiet, hostname: "127.0.0.1", port }));
  if ("unix" in at) chmodSync(at.unix, at.mode);
  return { port: server.port ?? 0, stop: (withinMs) => stop(server, at, withinMs) };
}

/** Opens a port of 127.0.0.1. Fault `config_invalid` where another process has it or this user may not have it. */
function onPort<T>(port: number, open: (port: number) => T): T {
  try {
    return open(port);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : "";
    if (code !== "EADDRINUSE" && code !== "EACCES") throw cause;
    const why = code === "EACCES" ? "may not be opened by this user" : "is in use by another process";
    throw new Fault("config_invalid", `The port ${port} of 127.0.0.1 ${why}`, {
      hint: "Name another one: --port of cairn dev, --loopback of cairn serve. 0 takes any free port.",
      cause,
    });
  }
}

async function answer(request: Request, options: ListenOptions, upgrade: Upgrade): Promise<Response | undefined> {
  const origin = sharedOrigin(request, options.origins);
  const response = await answerCaller(request, options, { origin, upgrade });
  if (response === UPGRADED) return undefined;
  if (options.draining()) response.headers.set("connection", "close");
  return origin === undefined ? response : shareWith(response, origin);
}

async function answerCaller(
  request: Request,
  options: ListenOptions,
  { origin, upgrade }: { origin: string | undefined; upgrade: Upgrade },
): Promise<Response> {
  try {
    if (options.draining()) {
      throw new Fault("unavailable", "This node is stopping", {
        hint: "Try again in a moment.",
        facts: { outcome: "not_done" },
        details: { retryAfterSeconds: 2 },
      });
    }
    const path = pathOf(request.url);
    const caller = await options.identify(request, path);
    const asked = origin === undefined ? undefined : preflight(request, origin);
    if (asked !== undefined) return asked;
    const hold = options.bodies.open(caller.id);
    try {
      const response = await answerBy(options.surfaces, request, path, { caller, hold, upgrade });
      // The rest of a body that was refused is not waited for, and a caller without any right keeps no connection.
      // Closing our own connection could overtake the response.
      if (response !== UPGRADED && options.hasRights?.(caller) === false) response.headers.set(CLOSE_HEADER, "1");
      return response;
    } finally {
      hold.release();
    }
  } catch (error) {
    return refusal(error, options.log);
  }
}

/** Chooses the surface by the path. */
async function answerBy(
  surfaces: Surfaces | Surface,
  request: Request,
  path: string,
  { caller, hold, upgrade }: { caller: Caller; hold: BodyHold; upgrade: Upgrade },
): Promise<Response> {
  if ("fetch" in surfaces) return surfaces.fetch(request, caller, hold, upgrade);
  const { api, mcp, web, served = [] } = surfaces;
  const own = served.find(({ prefix }) => path.startsWith(prefix));
  if (own !== undefined) return own.server.fetch(request, { caller, scheme: schemeOf(request), hold, upgrade });
  if (isMcpPath(path)) return harmless(await mcp.fetch(request, caller, hold));
  const page = isPagePath(path) ? await web.fetch(request, caller, schemeOf(request), hold) : undefined;
  return page ?? (await api.fetch(request, caller, hold, upgrade));
}

/**
 * MCP answers contain stored text, too: headers keep browsers from treating it as anything but data (security.md 15).
 * Headers that the SDK set stay.
 */
function harmless(response: Response): Response {
  for (const [name, value] of SAFE_ENTRIES) if (!response.headers.has(name)) response.headers.set(name, value);
  return response;
}

/** Returns how the request reached the node. Only the Go half can say https: the other listeners remove this header. */
function schemeOf(request: Request): "http" | "https" {
  return request.headers.get(SCHEME_HEADER) === "https" ? "https" : "http";
}

/**
 * Returns a Fault as a problem; any other error as `internal` with an id that is also in the log, so that nothing
 * internal leaks.
 */
function refusal(error: unknown, log: LogLine): Response {
  if (error instanceof Fault) return problemResponse(error);
  return problemResponse(unexpectedFault("The request", logUnexpected(log, "a request", error)));
}

/** The path of an absolute URL without its query. */
function pathOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  if (start < 0) return "/";
  const end = url.slice(start).search(/[?#]/);
  return end < 0 ? url.slice(start) : url.slice(start, start + end);
}

/**
 * Bun's graceful stop is not used: it closes connections on which the Go half may be sending its next request, which
 * then has no known outcome. Once the socket file is gone there are no new connections, and while the node drains each
 * answer closes its connection.
 */
async function stop(server: ReturnType<typeof Bun.serve>, at: ListenOptions["at"], withinMs: number): Promise<void> {
  if ("unix" in at) rmSync(at.unix, { force: true });
  const until = performance.now() + withinMs;
  for (let quiet = 0; quiet < 2 && performance.now() < until; quiet = server.pendingRequests > 0 ? 0 : quiet + 1)
    await pause(DRAIN_LOOK_MS);
  await server.stop(true);
}

/** Removes the socket of a process that is gone. The lock on the data folder says that no other process uses it. */
function removeStaleSocket(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new Fault("data_unsafe", `${path} must be a socket, and is something else`, {
      hint: "Move it away, then start again.",
    });
  }
  rmSync(path);
}
