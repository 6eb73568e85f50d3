// The core behind the node's own listener on a unix socket: real connections, backpressure and disconnects, with any
// caller by a header.

import { join } from "node:path";
import type { Caller } from "../../src/access/caller.ts";
import { BodyBudget } from "../../src/lib/request-body.ts";
import { type Listener, listen } from "../../src/node/listeners/listen.ts";
import { type Core, type CoreOptions, localAdmin, startCore } from "./core.ts";
import { temporaryFolder } from "./temporary.ts";

/** Names the caller of a request; without it the caller is the admin of this machine. */
export const CALLER_HEADER = "test-caller";

export interface ServedCore extends AsyncDisposable {
  core: Core;
  socket: string;
  /** The caller of a name in CALLER_HEADER. */
  callers: Map<string, Caller>;
  /** The bodies in flight. */
  bodies: BodyBudget;
  /** Sends a request over the socket. */
  fetch(path: string, init?: BunFetchRequestInit): Promise<Response>;
}

export function serveCore(options: CoreOptions = {}): ServedCore {
  const core = startCore(options);
  const socket = join(temporaryFolder(), "http.sock");
  const callers = new Map<string, Caller>();
  const nothing = { fetch: async () => new Response(null, { status: 404 }) };
  const bodies = new BodyBudget(8 * 1024 * 1024);
  const listener: Listener = listen({
    at: { unix: socket, mode: 0o600 },
    identify: (request) => callers.get(request.headers.get(CALLER_HEADER) ?? "") ?? localAdmin,
    surfaces: { api: core.api, mcp: nothing, web: { fetch: async () => undefined } },
    bodies,
    hasRights: (caller) => core.access.rights(caller).permitsAnything(),
    origins: [],
    draining: () => false,
    log: (level, message) => {
      if (level === "error") core.unexpected.push(message);
    },
  });
  return {
    core,
    socket,
    callers,
    bodies,
    fetch: (path, init = {}) => fetch(`http://cairn${path}`, { ...init, unix: socket }),
    [Symbol.asyncDispose]: async () => {
      await core.close();
      await listener.stop(1000);
    },
  };
}
