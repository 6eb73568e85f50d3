// The doors of one node while it runs: each listener gets what is common to all, and they end together. What proves a caller is doors.ts, Bun's server is listen.ts.

import type { Settings } from "../../config/settings.ts";
import { giveToGroup } from "../../datadir/sockets.ts";
import { logFor } from "../../observe/logging.ts";
import { MAX_FRAME_BYTES } from "../../peer/frames.ts";
import type { Callers } from "./callers.ts";
import { identifyIngress, identifyLocal, identifyLoopback } from "./identify.ts";
import { type IdentifyCaller, type Listener, listen, type Surface, type Surfaces } from "./listen.ts";

/** Running requests may take this long to finish when the node stops. */
const DRAIN_MS = 10_000;

export interface OpenListenersOptions {
  settings: Settings;
  surfaces: Surfaces;
  /** True while the node stops. */
  draining: () => boolean;
}

/** The listeners of a node, in the order in which its start opens them. */
export class OpenListeners {
  readonly #options: OpenListenersOptions;
  readonly #listeners: Listener[] = [];

  constructor(options: OpenListenersOptions) {
    this.#options = options;
  }

  /** The local socket, for the node's user or `cli.group`. */
  local(path: string, { mode, gid }: { mode: number; gid: number | undefined }): void {
    this.#open({ unix: path, mode }, identifyLocal());
    giveToGroup(path, gid);
  }

  /** A port on 127.0.0.1 (0: any); answers its base URL. */
  loopback(port: number): string {
    const identify = identifyLoopback(() => listener.port, this.#options.settings["http.allowed_origins"]);
    const listener: Listener = this.#open({ loopbackPort: port }, identify);
    return `http://127.0.0.1:${listener.port}`;
  }

  /** Where the Go half hands over requests of the tailnet: those of everyone, and those of peers, which reach the peers' surface alone. */
  ingress(
    { everyone, peers }: { everyone: string; peers: string },
    secret: string,
    callers: Callers,
    peer: Surface,
  ): void {
    this.#open({ unix: everyone, mode: 0o600 }, identifyIngress(secret, callers));
    this.#open({ unix: peers, mode: 0o600 }, identifyIngress(secret, callers), peer, MAX_FRAME_BYTES);
  }

  /** No new requests; resolves when running ones have finished or were cut. */
  async stop(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.stop(DRAIN_MS)));
  }

  #open(
    at: Parameters<typeof listen>[0]["at"],
    identify: IdentifyCaller,
    surfaces: Surfaces | Surface = this.#options.surfaces,
    maxBodyBytes = this.#options.settings["http.max_body_bytes"],
  ): Listener {
    const { settings, draining } = this.#options;
    const listener = listen({
      at,
      identify,
      surfaces,
      maxBodyBytes,
      origins: settings["http.allowed_origins"],
      draining,
      log: logFor("http"),
    });
    this.#listeners.push(listener);
    return listener;
  }
}
