// The tailnet ports on which a node listens. Opens each port once and tries again later where that fails.

import { reasonOf } from "../../lib/reason-of.ts";
import type { Conditions } from "../../observe/conditions.ts";
import type { LogLine } from "../../observe/logging.ts";
import type { ListenOptions, Tailnet } from "../../tailnet/index.ts";

/** Plain HTTP. While it is not open the condition `not_listening` is raised. */
export const HTTP_PORT = 80;
export const HTTPS_PORT = 443;
/** Default time between two attempts. */
const RETRY_MS = 5_000;

export interface TailnetPortsOptions {
  tailnet: Pick<Tailnet, "listen">;
  conditions: Conditions;
  log: LogLine;
  /** Time between two attempts, in ms. */
  retryMs: number | undefined;
  /** Called when it is time to open the ports again. */
  onRetry: () => void;
}

/** Listens on ports of the tailnet; `stop` ends the retries, the Go half closes the ports. */
export class TailnetPorts {
  readonly #options: TailnetPortsOptions;
  readonly #open = new Set<number>();
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  constructor(options: TailnetPortsOptions) {
    this.#options = options;
  }

  /**
   * Opens a port. Resolves with true if it was opened now, with false if it was open before or cannot be opened yet.
   */
  async open(port: number, how: ListenOptions): Promise<boolean> {
    if (this.#open.has(port)) return false;
    this.#open.add(port);
    try {
      await this.#options.tailnet.listen(port, how);
      if (port === HTTP_PORT) this.#options.conditions.clear("not_listening");
      return true;
    } catch (error) {
      this.#open.delete(port);
      if (!this.#stopped) this.#retryLater(port, error);
      return false;
    }
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retryTimer);
  }

  #retryLater(port: number, error: unknown): void {
    const { conditions, log, onRetry, retryMs = RETRY_MS } = this.#options;
    const text = `cannot listen on tailnet port ${port}: ${reasonOf(error)}`;
    if (port === HTTP_PORT) conditions.raise("not_listening", text);
    else log("error", text);
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(onRetry, retryMs);
  }
}
