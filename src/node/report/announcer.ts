// Reports to people, scripts and the service manager while a node runs: the ready event once, as soon as the node
// serves or is known to wait, then an event for each change.

import { buildInfo } from "../../config/build-info.ts";
import type { Loaded } from "../../config/load.ts";
import type { Conditions } from "../../observe/conditions.ts";
import type { Status } from "../../tailnet/index.ts";
import type { NodeState } from "../node-state.ts";
import type { NodeEvent } from "./events.ts";
import type { ServiceManager } from "./service-manager.ts";
import { addressesOf, readyEvent } from "./urls.ts";

/** The ready event is sent after this time even if the tailnet has reported nothing. */
const PATIENCE_MS = 15_000;

export interface AnnouncerOptions {
  loaded: Loaded;
  report: (event: NodeEvent) => void;
  conditions: Conditions;
  /** The local socket. */
  socket: string;
  state: NodeState;
  manager: ServiceManager;
}

/** Reports what a node is doing until `stop`. */
export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #patience: ReturnType<typeof setTimeout>;
  #announced = false;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    this.#patience = setTimeout(() => this.ready(), PATIENCE_MS);
  }

  stop(): void {
    clearTimeout(this.#patience);
  }

  /** Sends the ready event, once. */
  ready(): void {
    if (this.#announced) return;
    this.#announced = true;
    clearTimeout(this.#patience);
    const { loaded, report, conditions, socket, state } = this.#options;
    report(
      readyEvent({
        loaded,
        status: state.reachable(),
        serving: state.serving,
        localUrl: state.localUrl,
        loginUrl: state.loginUrl() ?? null,
        socket,
        conditions: conditions.list(),
        versions: buildInfo,
      }),
    );
  }

  /** The tailnet serves, for the first time or under other names. */
  serving(status: Status): void {
    const { self } = status;
    const { loaded, report, state, manager } = this.#options;
    manager.status(`serving as ${self?.dnsName ?? loaded.settings.hostname}`);
    if (!this.#announced) {
      this.ready();
      return;
    }
    const { url, mcpUrl } = addressesOf(state.reachable() === undefined ? undefined : status, state.localUrl);
    report({
      event: "serving",
      url: url ?? "",
      mcpUrl: mcpUrl ?? "",
      name: self?.dnsName ?? "",
      ips: self?.ips ?? [],
    });
  }

  /** The node waits for something; a condition says for what. */
  waiting(): void {
    const { manager, conditions } = this.#options;
    manager.status(conditions.list()[0]?.text ?? "waiting for the tailnet");
    this.ready();
  }

  /** Somebody has to log the node in at this URL. */
  login(url: string): void {
    this.#options.manager.status(`log in: ${url}`);
    if (this.#announced) this.#options.report({ event: "login", url });
    else this.ready();
  }
}
