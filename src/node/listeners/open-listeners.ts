// The open listeners of one node. Adds what all of them share, and stops them together. Who is calling is identify.ts,
// Bun's server is listen.ts.

import type { Caller } from "../../access/caller.ts";
import type { Settings } from "../../config/settings.ts";
import { giveToGroup } from "../../datadir/index.ts";
import { BodyBudget } from "../../lib/request-body.ts";
import { logFor } from "../../observe/logging.ts";
import type { Callers } from "./callers.ts";
import { identifyIngress, identifyLocal, identifyLoopback } from "./identify.ts";
import { type IdentifyCaller, type Listener, listen, type Surface, type Surfaces } from "./listen.ts";

/** How long running requests may take to finish when the node stops. */
const DRAIN_MS = 10_000;

export interface OpenListenersOptions {
  settings: Settings;
  surfaces: Surfaces;
  /** Reports whether a caller has any right on this node. */
  hasRights: (caller: Caller) => boolean;
  /** True while the node stops. */
  draining: () => boolean;
}

/** Opens listeners in the order of a start; `stop` closes all. */
export class OpenListeners {
  readonly #options: OpenListenersOptions;
  readonly #listeners: Listener[] = [];
  readonly #bodies: BodyBudget;

  constructor(options: OpenListenersOptions) {
    this.#options = options;
    this.#bodies = new BodyBudget(options.settings["http.max_body_bytes"]);
  }

  /** Opens the local socket, for the node's user or `cli.group`. */
  local(path: string, { mode, gid }: { mode: number; gid: number | undefined }): void {
    this.#open({ unix: path, mode }, identifyLocal());
    giveToGroup(path, gid);
  }

  /** Opens a port on 127.0.0.1 (0: any). Returns its base URL. */
  loopback(port: number): string {
    const identify = identifyLoopback(() => listener.port, this.#options.settings["http.allowed_origins"]);
    const listener: Listener = this.#open({ loopbackPort: port }, identify);
    return `http://127.0.0.1:${listener.port}`;
  }

  /**
   * Opens the sockets on which the Go half passes requests of the tailnet: those of all callers, and those of peers,
   * which reach only the peers' surface.
   */
  ingress(
    { everyone, peers }: { everyone: string; peers: string },
    secret: string,
    callers: Callers,
    peer: Surface,
  ): void {
    this.#open({ unix: everyone, mode: 0o600 }, identifyIngress(secret, callers));
    this.#open({ unix: peers, mode: 0o600 }, identifyIngress(secret, callers), peer);
  }

  /** Refuses new requests. Resolves when running ones have finished or were cut. */
  async stop(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.stop(DRAIN_MS)));
  }

  #open(
    at: Parameters<typeof listen>[0]["at"],
    identify: IdentifyCaller,
    surfaces: Surfaces | Surface = this.#options.surfaces,
  ): Listener {
    const { settings, draining, hasRights } = this.#options;
    const listener = listen({
      at,
      identify,
      surfaces,
      bodies: this.#bodies,
      ...("fetch" in surfaces ? {} : { hasRights }),
      origins: settings["http.allowed_origins"],
      draining,
      log: logFor("http"),
    });
    this.#listeners.push(listener);
    return listener;
  }
}
