// The login of a bridge's own tailnet node: waits until it runs, and knows why the control server does not take it.
// Asks for a new login where one helps. The node itself is tailnet-node.ts.

import { Fault } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import type { LogLine } from "../observe/logging.ts";
import type { Status, Tailnet } from "../tailnet/index.ts";

export interface BridgeLoginOptions {
  tailnet: Pick<Tailnet, "on" | "login">;
  /** The name that the bridge was given, for the command in hints. */
  name: string;
  authKey: string | undefined;
  /** Whether the first login is by a key or a client secret, and not by a person. */
  hasKey: boolean;
  log: LogLine;
  /** Called with the URL that a person has to open. */
  onLoginUrl: (url: string) => void;
  /** Called where `denial` may have changed. */
  onChange: () => void;
}

/** Why control does not take the device; `text` is in its own words. */
interface Denial {
  reason: "removed" | "expired" | "refused";
  text: string;
  expiry: string | null;
}

/** Follows the state of the node from before it is up until its end. */
export class BridgeLogin {
  readonly #options: BridgeLoginOptions;
  readonly #running = Promise.withResolvers<void>();
  #denial: Denial | undefined;
  #url: string | undefined;
  #hasRun = false;
  /** A new login was asked for. */
  #asked = false;
  #keyRefused = false;

  /** Listens at once; call it before `up`. */
  constructor(options: BridgeLoginOptions) {
    const { tailnet } = options;
    this.#options = options;
    this.#running.promise.catch(() => {});
    tailnet.on("state", (status) => this.#take(status));
    tailnet.on("login", (url) => this.#showUrl(url));
    tailnet.on("authFailed", (message) => this.#refuse(message));
    tailnet.on("fatal", (message) =>
      this.#running.reject(new Fault("tailnet_failed", `The tailnet half stopped: ${message}`)),
    );
  }

  /** Why the control server does not take the device, with the way out; undefined: it does, or has not said yet. */
  get denial(): Fault | undefined {
    return this.#denial === undefined ? undefined : denialFault(this.#denial, this.#url, this.#options.name);
  }

  /** Resolves when the node runs. Rejects with a Fault, at the latest after `joinMs`. */
  async joined(joinMs: number, signal: AbortSignal): Promise<void> {
    const late = setTimeout(() => this.#running.reject(this.denial ?? notJoined(this.#url, joinMs)), joinMs);
    const stop = (): void => this.#running.reject(new Fault("cancelled", "The bridge ends"));
    signal.addEventListener("abort", stop, { once: true });
    try {
      await this.#running.promise;
    } finally {
      clearTimeout(late);
      signal.removeEventListener("abort", stop);
    }
  }

  #take(status: Status): void {
    const { state, self, denied } = status;
    const lost = this.#hasRun && state === "NeedsLogin" ? "expired" : undefined;
    const reason = self?.keyExpired === true ? "expired" : (denied?.reason ?? lost);
    if (state === "NeedsMachineAuth") this.#options.log("warning", "the tailnet wants an admin to approve this bridge");
    if (reason !== undefined) {
      this.#denial = { reason, text: denied?.message ?? "", expiry: self?.keyExpiry ?? null };
      if (reason !== "refused") this.#askForLogin(reason);
    } else if (state === "Running") {
      this.#denial = undefined;
      this.#url = undefined;
      this.#hasRun = true;
      this.#asked = false;
      this.#running.resolve();
    }
    this.#options.onChange();
  }

  #showUrl(url: string): void {
    this.#url = url;
    this.#options.onLoginUrl(url);
    this.#options.onChange();
  }

  /** A key renews an expired login; a device that was deleted comes back only by an act of a person. */
  #askForLogin(reason: Denial["reason"]): void {
    const { tailnet, authKey, log } = this.#options;
    if (this.#asked || this.#url !== undefined) return;
    this.#asked = true;
    const key = reason === "removed" || this.#keyRefused ? undefined : authKey;
    tailnet.login(key).catch((error: unknown) => {
      if (key !== undefined && error instanceof Fault && error.code === "auth_key") return this.#refuse(error.message);
      this.#asked = false;
      log("warning", `cannot ask for a new login: ${reasonOf(error)}`);
    });
  }

  #refuse(message: string): void {
    const { hasKey } = this.#options;
    if (!hasKey) {
      this.#denial = { reason: "refused", text: message, expiry: null };
      this.#options.onChange();
      const { denial } = this;
      this.#running.reject(denial);
    } else if (this.#denial !== undefined && this.#denial.reason !== "refused") {
      // The key is spent, and the device was known: a person may log it in again.
      if (this.#keyRefused) return;
      this.#keyRefused = true;
      this.#asked = false;
      this.#askForLogin(this.#denial.reason);
    } else {
      this.#running.reject(
        new Fault("auth_key", `The tailnet refused the key of the bridge: ${message}`, {
          hint: `Set a fresh TS_AUTHKEY for one start, or log in with cairn bridge ${this.#options.name} --login.`,
        }),
      );
    }
  }
}

function denialFault({ reason, text, expiry }: Denial, url: string | undefined, name: string): Fault {
  const login =
    url === undefined
      ? `run cairn bridge ${name} --login in a terminal`
      : `open ${url} in a browser to log it in again`;
  switch (reason) {
    case "removed":
      return new Fault(
        "unavailable",
        `The control server does not know the device of this bridge any more${text === "" ? "" : ` (${text})`}`,
        { hint: `It was deleted from the tailnet: ${login}.` },
      );
    case "expired":
      return new Fault("unavailable", `The key of this bridge's device has expired${expiry ? ` (${expiry})` : ""}`, {
        hint: `Extend it in the admin console of the tailnet, or ${login}.`,
      });
    case "refused":
      return new Fault("unavailable", `The control server refuses the device of this bridge: ${text}`, {
        hint: "Ask an admin of the tailnet; the bridge goes on by itself once it is taken.",
      });
  }
}

function notJoined(url: string | undefined, joinMs: number): Fault {
  return url === undefined
    ? new Fault("unavailable", `The bridge has not joined the tailnet within ${joinMs / 1000} s`, {
        hint: "See whether this machine reaches the control server.",
      })
    : new Fault("unavailable", `The bridge waits for a login: open ${url}`, {
        hint: "Or start it once with TS_AUTHKEY, or run cairn bridge NAME --login in a terminal.",
      });
}
