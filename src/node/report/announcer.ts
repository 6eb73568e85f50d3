// What people, scripts and the service manager hear while a node runs: the ready event once, as soon as it serves or is known to wait, then each change as an event of its own.

import { buildInfo } from "../../config/build-info.ts";
import type { Loaded } from "../../config/load.ts";
import type { Conditions } from "../../observe/conditions.ts";
import type { Status } from "../../tailnet/index.ts";
import type { NodeState } from "../node-state.ts";
import type { NodeEvent } from "./events.ts";
import type { ServiceManager } from "./service-manager.ts";
import { addressesOf, readyEvent } from "./urls.ts";

/** The ready event comes after this time even if the tailnet has said nothing. */
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

/** Tells what a node is doing; `stop` before its end. */
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

  /** The ready event, if it was not told yet. */
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

  /** The tailnet serves, for the first time or under new names. */
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

  /** It is known what the node waits for: a condition says it. */
  waiting(): void {
    const { manager, conditions } = this.#options;
    manager.status(conditions.list()[0]?.text ?? "waiting for the tailnet");
    this.ready();
  }

  /** A person must log in at this URL. */
  login(url: string): void {
    this.#options.manager.status(`log in: ${url}`);
    if (this.#announced) this.#options.report({ event: "login", url });
    else this.ready();
  }
}
