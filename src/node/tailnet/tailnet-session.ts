// Joins the tailnet and follows its state while the node runs: login, ports, key expiry, a control server that is away
// or says no, and comes back. Turns tailnet events into conditions and callbacks. Serves no requests.

import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { Conditions } from "../../observe/conditions.ts";
import type { LogLine } from "../../observe/logging.ts";
import type { Status, Tailnet, UpParams } from "../../tailnet/index.ts";
import { HTTP_PORT, HTTPS_PORT, TailnetPorts } from "./tailnet-ports.ts";

const EXPIRY_WARNING_DAYS = 14;
const DAY_MS = 86_400_000;
const REFUSED_KEY_GRACE_MS = 8_000;
const EXPIRY_CHECK_MS = 3_600_000;

/** The condition of each reason for which control does not take this device. */
const DENIALS = { removed: "removed_from_tailnet", expired: "key_expired", refused: "login_refused" } as const;

export interface TailnetSessionOptions {
  tailnet: Tailnet;
  params: UpParams;
  /** The port for other nodes of the fleet, and the unix socket that serves it. */
  peers?: { port: number; target: string; maxBodyBytes: number };
  /** Whether this data folder has been on a tailnet before. */
  hasState: boolean;
  conditions: Conditions;
  log: LogLine;
  nowMs: () => number;
  /** How long a node with earlier state may take to show that it runs without the refused key. */
  refusedKeyGraceMs?: number;
  /** Time between attempts to listen on a tailnet port, in ms. */
  listenAgainMs?: number;
  /** The node serves on the tailnet: for the first time, or under another name or with certificates. */
  onServing: (status: Status) => void;
  /** The node cannot serve yet; a condition says why. */
  onWaiting: () => void;
  /** Somebody has to open this URL to log the node in. */
  onLoginUrl: (url: string) => void;
  /** The node must stop. */
  onFatal: (fault: Fault) => void;
}

/** A node's membership in its tailnet. The constructor subscribes to tailnet events; `up` joins; `stop` ends it. */
export class TailnetSession {
  readonly #options: TailnetSessionOptions;
  readonly #ports: TailnetPorts;
  readonly #unsubscribe: readonly (() => void)[];
  readonly #expiryTimer: ReturnType<typeof setInterval>;
  #status: Status | undefined;
  #loginUrl: string | undefined;
  /** The tailnet has reported `Running` at least once. */
  #hasRun = false;
  /** The login that was asked for and has not succeeded: with the auth key, or by URL. */
  #loginRequested: "no" | "key" | "url" = "no";
  #keyRefused = false;
  /** Control's words, where it refuses the login of a device that it does not know. */
  #loginRefusal: string | undefined;
  #refusedTimer: ReturnType<typeof setTimeout> | undefined;
  #servingReported = false;
  /** The calls of `#openPorts`, one after the other. */
  #opening = Promise.resolve();

  constructor(options: TailnetSessionOptions) {
    const { tailnet, conditions, log } = options;
    this.#options = options;
    this.#ports = new TailnetPorts({
      tailnet,
      conditions,
      log,
      retryMs: options.listenAgainMs,
      onRetry: () => this.#status?.state === "Running" && this.#serve(this.#status),
    });
    this.#unsubscribe = [
      tailnet.on("state", (status) => this.#update(status)),
      tailnet.on("authFailed", (message) => this.#refuseKey(message)),
      tailnet.on("login", (url) => this.#askToLogIn(url)),
      tailnet.on("fatal", (message) => this.#fail(message)),
    ];
    this.#expiryTimer = setInterval(() => this.#status && this.#checkExpiry(this.#status), EXPIRY_CHECK_MS);
    this.#expiryTimer.unref();
  }

  /**
   * Joins. Resolves once the Go half runs its engine, which is before anyone has logged in. Throws the tailnet's Fault.
   */
  async up(): Promise<void> {
    const { tailnet, conditions, params } = this.#options;
    conditions.raise("starting", "Joining the tailnet");
    try {
      await tailnet.up(params);
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== "auth_key") throw error;
      this.#refuseKey(error.message);
    }
  }

  /** The newest state that the tailnet reported; undefined before the first. */
  status(): Status | undefined {
    return this.#status;
  }

  /** The login URL that waits for a person, if any. */
  loginUrl(): string | undefined {
    return this.#loginUrl;
  }

  /** Ends timers and subscriptions. Safe to call twice. */
  stop(): void {
    clearInterval(this.#expiryTimer);
    clearTimeout(this.#refusedTimer);
    this.#ports.stop();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  #update(status: Status): void {
    const { conditions, params, onWaiting } = this.#options;
    this.#status = status;
    if (status.control === "unreachable")
      conditions.raise(
        "control_unreachable",
        `No answer from ${params.controlUrl ?? "the Tailscale control server"}; still trying`,
      );
    else if (status.control === "connected") conditions.clear("control_unreachable");
    // Before it runs, Tailscale's health only says that it is starting; the other conditions say more.
    if (status.state === "Running" && status.health.length > 0)
      conditions.raise("tailnet_health", status.health.join("; "));
    else conditions.clear("tailnet_health");
    if (status.state === "NeedsMachineAuth")
      conditions.raise("needs_approval", "The tailnet wants an admin to approve this machine");
    this.#checkExpiry(status);
    const denied = this.#checkDenial(status);
    if (status.state === "Running" && !denied) this.#runs(status);
    else if (denied ? !this.#hasRun : conditions.has("control_unreachable") || conditions.has("needs_approval"))
      onWaiting();
  }

  #runs(status: Status): void {
    this.#hasRun = true;
    this.#loginRequested = "no";
    this.#loginUrl = undefined;
    clearTimeout(this.#refusedTimer);
    for (const code of ["starting", "needs_login", "needs_approval"] as const) this.#options.conditions.clear(code);
    this.#serve(status);
  }

  /**
   * Calls follow one another, so that serving is never reported before a port is open for which an earlier call waits.
   */
  #serve(status: Status): void {
    this.#opening = this.#opening.then(() => this.#openPorts(status));
  }

  async #openPorts(status: Status): Promise<void> {
    const { peers, conditions, onWaiting, onServing } = this.#options;
    if (peers !== undefined) {
      const { port, ...to } = peers;
      await this.#ports.open(port, { tls: false, to });
    }
    const plain = await this.#ports.open(HTTP_PORT, { tls: false });
    const secure = status.https && status.domains.length > 0 && (await this.#ports.open(HTTPS_PORT, { tls: true }));
    // Whatever the tailnet reports, callers cannot get in without an open port.
    if (conditions.has("not_listening")) return onWaiting();
    if (this.#servingReported && !plain && !secure) return;
    this.#servingReported = true;
    onServing(status);
  }

  #checkExpiry(status: Status): void {
    const { conditions, nowMs } = this.#options;
    const expiry = status.self?.keyExpiry;
    const leftMs = expiry === null || expiry === undefined ? undefined : Date.parse(expiry) - nowMs();
    const expired = status.self?.keyExpired === true;
    if (!expired && leftMs !== undefined && leftMs > 0 && leftMs < EXPIRY_WARNING_DAYS * DAY_MS) {
      const days = Math.max(0, Math.floor(leftMs / DAY_MS));
      conditions.raise("key_expires_soon", `The node key expires in ${counted(days, "day")}, at ${expiry}`);
    } else conditions.clear("key_expires_soon");
  }

  /**
   * Raises the condition that says why control does not take this device, and asks for a login where one helps. Returns
   * whether there is such a reason; with none all of these conditions end.
   */
  #checkDenial(status: Status): boolean {
    const { conditions } = this.#options;
    if (status.state === "Running") this.#loginRefusal = undefined;
    const lost = this.#hasRun && status.state === "NeedsLogin" ? "expired" : undefined;
    const unknown = this.#loginRefusal === undefined ? lost : "refused";
    const reason = status.self?.keyExpired === true ? "expired" : (status.denied?.reason ?? unknown);
    for (const [each, code] of Object.entries(DENIALS)) if (each !== reason) conditions.clear(code);
    if (reason === undefined) return false;
    const text = status.denied?.message ?? this.#loginRefusal ?? "";
    if (reason === "removed")
      conditions.raise(
        "removed_from_tailnet",
        `The control server does not know this device any more${text === "" ? "" : ` (${text})`}; it is cut off`,
      );
    else if (reason === "refused") {
      this.#raiseRefusal(text);
      // The device is refused, whatever its key.
      conditions.clear("auth_key_refused");
      return true;
    } else {
      const expiry = status.self?.keyExpiry;
      conditions.raise(
        "key_expired",
        `The node key has expired${expiry ? ` (${expiry})` : ""}; this node is cut off until its key is extended or ` +
          "someone logs in",
      );
    }
    this.#requestLogin();
    return true;
  }

  /**
   * A node that lost its login gets a new one without a restart, unless a login URL waits already. An expired key is
   * renewed with the auth key unless that was refused; a device that was deleted comes back only by an act of a person.
   */
  #requestLogin(): void {
    const { tailnet, params, log, conditions } = this.#options;
    if (this.#loginRequested !== "no" || this.#loginUrl !== undefined) return;
    const key = this.#keyRefused || conditions.has("removed_from_tailnet") ? undefined : params.authKey;
    this.#loginRequested = key === undefined ? "url" : "key";
    tailnet.login(key).catch((error: unknown) => {
      this.#loginRequested = "no";
      if (key !== undefined && error instanceof Fault && error.code === "auth_key") this.#refuseKey(error.message);
      else log("warning", `cannot ask for a new login: ${reasonOf(error)}`);
    });
  }

  #askToLogIn(url: string): void {
    this.#loginUrl = url;
    if (this.#loginRefusal !== undefined) this.#options.conditions.clear("login_refused");
    this.#loginRefusal = undefined;
    this.#options.conditions.raise("needs_login", `Open ${url} in a browser`);
    this.#options.onLoginUrl(url);
  }

  /**
   * A node that is a device of the tailnet only notes a refused key. One that has never been one stops, after a grace
   * period if it has earlier state. Without a key it is the login that was refused, and the Go half keeps trying.
   */
  #refuseKey(message: string): void {
    const { params, hasState, onFatal, onWaiting, refusedKeyGraceMs = REFUSED_KEY_GRACE_MS } = this.#options;
    clearTimeout(this.#refusedTimer);
    if (params.authKey === undefined && params.clientSecret === undefined) {
      this.#loginRefusal = message;
      this.#raiseRefusal(message);
      onWaiting();
      return;
    }
    this.#keyRefused = true;
    if (this.#isDevice()) {
      this.#noteRefusedKey(message);
      return;
    }
    const fault = new Fault("auth_key", `The tailnet refused the auth key: ${message}`, {
      hint:
        "Make a new key at https://login.tailscale.com/admin/settings/keys (or your control server) and set " +
        "TS_AUTHKEY; without a key cairn prints a login URL.",
    });
    if (!hasState) onFatal(fault);
    else
      this.#refusedTimer = setTimeout(
        () => (this.#isDevice() ? this.#noteRefusedKey(message) : onFatal(fault)),
        refusedKeyGraceMs,
      );
  }

  #raiseRefusal(text: string): void {
    this.#options.conditions.raise("login_refused", `The control server refuses this device: ${text}`);
  }

  /** Reports whether this node was a device of the tailnet, as it showed or as the control server said. */
  #isDevice(): boolean {
    return this.#hasRun || this.#status?.state === "Running" || (this.#status?.denied ?? null) !== null;
  }

  #noteRefusedKey(message: string): void {
    const { conditions } = this.#options;
    if (conditions.has("login_refused")) return;
    conditions.raise("auth_key_refused", message);
    if (!conditions.has("key_expired") && !conditions.has("removed_from_tailnet")) return;
    if (this.#loginRequested === "key") this.#loginRequested = "no";
    this.#requestLogin();
  }

  #fail(message: string): void {
    this.#options.conditions.raise("tailnet_stopped", message);
    this.#options.onFatal(tailnetStopped(message));
  }
}

/** The Fault of a node whose Go half ended. */
export function tailnetStopped(message: string): Fault {
  return new Fault("tailnet_failed", `The tailnet half stopped: ${message}`, {
    hint: "Start the node again; what was acknowledged is on disk.",
  });
}
