// Fourth phase of a start: the listeners of this machine. Those of the tailnet open with it.

import { OpenListeners } from "../listeners/open-listeners.ts";
import type { StartContext } from "../start-context.ts";
import type { BuiltNode } from "./build-node.ts";
import type { OpenedData } from "./open-data.ts";

/** Opens the local socket, and a port on 127.0.0.1 where that was asked for. */
export function listenLocally(start: StartContext, opened: OpenedData, { product }: BuiltNode): OpenListeners {
  const { options, settings, state, closers } = start;
  const listeners = new OpenListeners({
    settings,
    surfaces: product,
    hasRights: (caller) => product.access.rights(caller).permitsAnything(),
    draining: () => state.draining,
  });
  closers.add("listeners", () => listeners.stop());
  listeners.local(opened.sockets.cairn, opened.access);
  if (options.loopbackPort !== undefined) state.attachLocalUrl(listeners.loopback(options.loopbackPort));
  return listeners;
}
