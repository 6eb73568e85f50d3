// Joins the tailnet and keeps an eye on it for as long as the node runs: login, listeners, key expiry, control server away and back.
// What the tailnet says becomes conditions and events; nothing here serves a request.

import { Fault } from "../../lib/fault.ts";
import type { Conditions } from "../../observe/conditions.ts";
import type { LogLine } from "../../observe/logging.ts";
import type { Status, Tailnet, UpParams } from "../../tailnet/index.ts";

const HTTP_PORT = 80;
const HTTPS_PORT = 443;
const EXPIRY_WARNING_DAYS = 14;
const DAY_MS = 86_400_000;
const REFUSED_KEY_GRACE_MS = 8_000;
const EXPIRY_CHECK_MS = 3_600_000;
const LISTEN_AGAIN_MS = 5_000;

export interface JoinOptions {
  tailnet: Tailnet;
  params: UpParams;
  /** The port for the other nodes of the fleet, and the socket that answers there. */
  peers?: { port: number; target: string };
  /** Whether this data folder has been on a tailnet before. */
  hasState: boolean;
  conditions: Conditions;
  log: LogLine;
  nowMs: () => number;
  /** How long a node with earlier state may take to show that it runs without the refused key. */
  refusedKeyGraceMs?: number;
  /** Time between attempts to listen on a tailnet port, in ms. */
  listenAgainMs?: number;
  /** The node serves on the tailnet: now, or again under another name or with certificates. */
  onServing: (status: Status) => void;
  /** The node cannot serve yet, for a reason that the conditions tell. */
  onWaiting: () => void;
  /** A person has to open this URL. */
  onLoginUrl: (url: string) => void;
  /** The node cannot go on. */
  onFatal: (fault: Fault) => void;
}

/** The way of one node onto its tailnet, for as long as it runs. */
export interface TailnetSession {
  /** Joins; returns once the Go half runs its engine, which is before anyone has logged in. Throws the Fault of the tailnet. */
  up(): Promise<void>;
  status(): Status | undefined;
  /** The login URL that waits for a person, if any. */
  loginUrl(): string | undefined;
  stop(): void;
}

/** Listens to the tailnet from now on; `up` joins it. */
export function joinTailnet(options: JoinOptions): TailnetSession {
  const { tailnet, conditions, log } = options;
  const listening = new Set<number>();
  let status: Status | undefined;
  let loginUrl: string | undefined;
  let hasRun = false;
  let askedForLogin = false;
  let keyRefused = false;
  let refusedTimer: ReturnType<typeof setTimeout> | undefined;
  let listenTimer: ReturnType<typeof setTimeout> | undefined;
  let told = false;
  let stopped = false;
  let serving = Promise.resolve();

  const openPort = async (port: number, tls: boolean, target?: string): Promise<boolean> => {
    if (listening.has(port)) return false;
    listening.add(port);
    try {
      await tailnet.listen(port, target === undefined ? { tls } : { tls, target });
      if (port === HTTP_PORT) conditions.clear("not_listening");
      return true;
    } catch (error) {
      listening.delete(port);
      if (stopped) return false;
      const text = `cannot listen on tailnet port ${port}: ${error instanceof Error ? error.message : String(error)}`;
      if (port === HTTP_PORT) conditions.raise("not_listening", text);
      else log("error", text);
      clearTimeout(listenTimer);
      listenTimer = setTimeout(() => {
        if (status?.state === "Running") serve(status);
      }, options.listenAgainMs ?? LISTEN_AGAIN_MS);
      return false;
    }
  };

  /** One after the other, so that nothing is told before the port is open for which another call waits. */
  const serve = (next: Status): void => {
    serving = serving.then(() => openAndTell(next));
  };

  const openAndTell = async (next: Status): Promise<void> => {
    if (options.peers !== undefined) await openPort(options.peers.port, false, options.peers.target);
    const plain = await openPort(HTTP_PORT, false);
    const secure = next.https && next.domains.length > 0 && (await openPort(HTTPS_PORT, true));
    // Nobody gets in by a port that is not open, whatever the tailnet says.
    if (conditions.has("not_listening")) return options.onWaiting();
    if (told && !plain && !secure) return;
    told = true;
    options.onServing(next);
  };

  const runs = (next: Status): void => {
    hasRun = true;
    askedForLogin = false;
    loginUrl = undefined;
    clearTimeout(refusedTimer);
    for (const code of ["starting", "needs_login", "needs_approval", "key_expired"] as const) conditions.clear(code);
    serve(next);
  };

  /** A node that ran and lost its login comes back without a restart: by its key while that is good, else by a login URL. */
  const askForLogin = (): void => {
    if (askedForLogin) return;
    askedForLogin = true;
    const key = keyRefused ? undefined : options.params.authKey;
    tailnet.login(key).catch((error: unknown) => {
      askedForLogin = false;
      if (key !== undefined && error instanceof Fault && error.code === "auth_key") refused(error.message);
      else log("warning", `cannot ask for a new login: ${error instanceof Error ? error.message : String(error)}`);
    });
  };

  const judgeExpiry = (next: Status): void => {
    const expiry = next.self?.keyExpiry;
    const leftMs = expiry === null || expiry === undefined ? undefined : Date.parse(expiry) - options.nowMs();
    const expired = next.self?.keyExpired === true;
    if (!expired && leftMs !== undefined && leftMs > 0 && leftMs < EXPIRY_WARNING_DAYS * DAY_MS) {
      const days = Math.max(0, Math.floor(leftMs / DAY_MS));
      conditions.raise(
        "key_expires_soon",
        `The node key expires in ${days} ${days === 1 ? "day" : "days"}, at ${expiry}`,
      );
    } else conditions.clear("key_expires_soon");
    if (expired || (hasRun && next.state === "NeedsLogin")) {
      conditions.raise(
        "key_expired",
        `The node key has expired${expiry ? ` (${expiry})` : ""}; this node is cut off until someone logs in`,
      );
      askForLogin();
    }
  };

  const take = (next: Status): void => {
    status = next;
    if (next.control === "unreachable")
      conditions.raise(
        "control_unreachable",
        `No answer from ${options.params.controlUrl ?? "the Tailscale control server"}; still trying`,
      );
    else if (next.control === "connected") conditions.clear("control_unreachable");
    // Before it runs, Tailscale only says that it is starting; the other conditions tell more.
    if (next.state === "Running" && next.health.length > 0) conditions.raise("tailnet_health", next.health.join("; "));
    else conditions.clear("tailnet_health");
    if (next.state === "NeedsMachineAuth")
      conditions.raise("needs_approval", "The tailnet wants an admin to approve this machine");
    judgeExpiry(next);
    if (next.state === "Running" && next.self?.keyExpired !== true) runs(next);
    else if (conditions.has("control_unreachable") || conditions.has("needs_approval")) options.onWaiting();
  };

  const refused = (message: string): void => {
    clearTimeout(refusedTimer);
    keyRefused = true;
    if (hasRun || status?.state === "Running") {
      conditions.raise("auth_key_refused", message);
      if (!conditions.has("key_expired")) return;
      askedForLogin = false;
      askForLogin();
      return;
    }
    const fault = new Fault("auth_key", `The tailnet refused the auth key: ${message}`, {
      hint: "Make a new key at https://login.tailscale.com/admin/settings/keys (or your control server) and set TS_AUTHKEY; without a key cairn prints a login URL.",
    });
    if (options.hasState)
      refusedTimer = setTimeout(() => options.onFatal(fault), options.refusedKeyGraceMs ?? REFUSED_KEY_GRACE_MS);
    else options.onFatal(fault);
  };

  const ends = [
    tailnet.on("state", take),
    tailnet.on("authFailed", refused),
    tailnet.on("login", (url) => {
      loginUrl = url;
      conditions.raise("needs_login", `Open ${url} in a browser`);
      options.onLoginUrl(url);
    }),
    tailnet.on("fatal", (message) => {
      conditions.raise("tailnet_stopped", message);
      options.onFatal(
        new Fault("tailnet_failed", `The tailnet half stopped: ${message}`, {
          hint: "Start the node again; what was acknowledged is on disk.",
        }),
      );
    }),
  ];
  const timer = setInterval(() => status !== undefined && judgeExpiry(status), EXPIRY_CHECK_MS);
  timer.unref();
  const stop = (): void => {
    clearInterval(timer);
    clearTimeout(refusedTimer);
    clearTimeout(listenTimer);
    stopped = true;
    for (const end of ends) end();
  };

  const up = async (): Promise<void> => {
    conditions.raise("starting", "Joining the tailnet");
    try {
      await tailnet.up(options.params);
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== "auth_key") throw error;
      refused(error.message);
    }
  };
  return { up, status: () => status, loginUrl: () => loginUrl, stop };
}
