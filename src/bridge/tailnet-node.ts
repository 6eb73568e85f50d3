// The tailnet node of `cairn bridge NAME`: joins with a key once, keeps its state under the data folder, and provides
// the egress to the named node. Bridges of one user to one name share a node: the one that holds the folder's lock runs
// it, the others use its egress and take over when it ends.

import { randomBytes } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Environment } from "../config/environment.ts";
import type { Loaded } from "../config/load.ts";
import { socketPaths } from "../config/paths.ts";
import type { Secrets } from "../config/secrets.ts";
import { refuseRealControl, refuseUntagged } from "../config/tailnet-settings.ts";
import { prepareSockets } from "../datadir/index.ts";
import { writeAtomic } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { parseObject } from "../lib/json-object.ts";
import { pause } from "../lib/pause.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";
import type { LogLine } from "../observe/logging.ts";
import { registerSecret } from "../observe/redact.ts";
import { type DataLock, lockDataFolder } from "../store/lock.ts";
import { openTailnet, type Tailnet, type UpParams } from "../tailnet/index.ts";
import type { EgressAddress } from "./endpoint.ts";

const POLL_MS = 100;
/** The file in which the running node publishes how to reach its egress. */
const EGRESS_FILE = "egress.json";

/** What a bridge's own tailnet node needs. */
export interface BridgeNodeOptions {
  /** `<data>/bridge-<name>`. */
  folder: string;
  dataDir: string;
  /** `http://cairn`: the target's origin on the tailnet. */
  base: string;
  hostname: string;
  settings: Loaded["settings"];
  secrets: Secrets;
  env: Environment;
  privateTailnet: boolean;
  /** Time limit for joining, in ms. */
  joinMs: number;
  log: LogLine;
  /** Called with the URL that a person has to open. */
  onLoginUrl: (url: string) => void;
}

interface RunningNode {
  /** Resolves when the node has joined. */
  address: Promise<EgressAddress>;
  close: () => Promise<void>;
}

/** The tailnet node that a bridge runs, or uses where another bridge of this user runs it. */
export class BridgeNode {
  readonly #options: BridgeNodeOptions;
  #running: RunningNode | undefined;
  #isClosed = false;

  constructor(options: BridgeNodeOptions) {
    refuseUntagged(options.settings, options.secrets);
    if (options.privateTailnet) refuseRealControl(options.settings.control_url);
    ensurePrivateFolder(options.dataDir);
    ensurePrivateFolder(options.folder);
    this.#options = options;
  }

  /** Returns the address of the named node, joining the tailnet if no other bridge has. Rejects with a Fault. */
  async address(): Promise<EgressAddress> {
    const deadline = performance.now() + this.#options.joinMs;
    for (;;) {
      if (this.#isClosed) throw new Fault("cancelled", "The bridge ends");
      const running = this.#running ?? this.#start();
      if (running !== undefined) return running.address;
      const published = this.#publishedAddress();
      if (published !== undefined) return published;
      if (performance.now() > deadline) {
        throw new Fault("unavailable", `Another bridge holds ${this.#options.folder} and has not joined the tailnet`, {
          hint: "Look at its log; cairn bridge NAME --login in a terminal shows what it waits for.",
        });
      }
      await pause(POLL_MS, AbortSignal.timeout(this.#options.joinMs));
    }
  }

  /** Ends the node; another bridge that uses it takes over. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running?.close();
  }

  /** Starts the node in this process; returns undefined when another process runs it. */
  #start(): RunningNode | undefined {
    let lock: DataLock;
    try {
      lock = lockDataFolder(this.#options.folder);
    } catch (error) {
      if (error instanceof Fault && error.code === "data_locked") return undefined;
      throw error;
    }
    const end = new AbortController();
    const joining = this.#join(end.signal);
    const close = async (): Promise<void> => {
      if (this.#running === running) this.#running = undefined;
      end.abort();
      const joined = await joining.catch(() => undefined);
      rmSync(join(this.#options.folder, EGRESS_FILE), { force: true });
      await joined?.tailnet.close();
      lock.release();
    };
    const running: RunningNode = { address: joining.then(({ address }) => address), close };
    this.#running = running;
    // After a failed join or the end of the node, the next call starts it again.
    joining.then(
      ({ tailnet }) => tailnet.on("fatal", () => void close()),
      () => void close(),
    );
    running.address.catch(() => {});
    return running;
  }

  async #join(signal: AbortSignal): Promise<{ tailnet: Tailnet; address: EgressAddress }> {
    const { folder, dataDir, base, settings, env, log } = this.#options;
    const paths = socketPaths(folder, env);
    prepareSockets(paths, undefined);
    const secret = randomBytes(32).toString("hex");
    registerSecret(secret);
    const engine = settings["tailnet.engine"];
    const tailnet = await openTailnet({
      dataDir,
      runtimeDir: paths.internal,
      log,
      ...(engine === "auto" ? {} : { engine }),
    });
    try {
      await this.#untilRunning(tailnet, this.#params(paths.internal, secret), signal);
    } catch (error) {
      await tailnet.close();
      throw error;
    }
    const egress = join(paths.internal, "egress.sock");
    writeAtomic(join(folder, EGRESS_FILE), JSON.stringify({ egress, secret }), { shared: true });
    return { tailnet, address: { egress, secret, base } };
  }

  async #untilRunning(tailnet: Tailnet, params: UpParams, signal: AbortSignal): Promise<void> {
    const running = Promise.withResolvers<void>();
    running.promise.catch(() => {});
    const { joinMs } = this.#options;
    let loginUrl: string | undefined;
    const late = setTimeout(() => running.reject(notJoined(loginUrl, joinMs)), joinMs);
    const ends = [
      tailnet.on("state", ({ state, self }) => {
        if (state === "Running" && self?.keyExpired !== true) running.resolve();
        if (state === "NeedsMachineAuth")
          this.#options.log("warning", "the tailnet wants an admin to approve this bridge");
      }),
      tailnet.on("login", (url) => {
        loginUrl = url;
        this.#options.onLoginUrl(url);
      }),
      tailnet.on("authFailed", (message) =>
        running.reject(
          new Fault("auth_key", `The tailnet refused the key of the bridge: ${message}`, {
            hint: "Set a fresh TS_AUTHKEY for one start, or log in with cairn bridge NAME --login.",
          }),
        ),
      ),
      tailnet.on("fatal", (message) =>
        running.reject(new Fault("tailnet_failed", `The tailnet half stopped: ${message}`)),
      ),
    ];
    const stop = (): void => running.reject(new Fault("cancelled", "The bridge ends"));
    signal.addEventListener("abort", stop, { once: true });
    try {
      await tailnet.up(params);
      await running.promise;
    } finally {
      clearTimeout(late);
      signal.removeEventListener("abort", stop);
      for (const end of ends) end();
    }
  }

  #params(socketDir: string, egressSecret: string): UpParams {
    const { folder, hostname, settings, secrets, privateTailnet } = this.#options;
    const { authKey, clientSecret } = secrets;
    return {
      stateDir: join(folder, "tailnet"),
      hostname,
      ...(settings.control_url === undefined ? {} : { controlUrl: settings.control_url }),
      ...(authKey === undefined ? {} : { authKey }),
      ...(clientSecret === undefined ? {} : { clientSecret }),
      tags: [...settings.tags],
      ephemeral: false,
      capability: settings["access.capability"],
      socketDir,
      // It listens on no port, so nothing is ever forwarded to it.
      target: join(socketDir, "nothing.sock"),
      ingressSecret: randomBytes(32).toString("hex"),
      egressSecret,
      shared: "none",
      allowedHosts: [],
      allowedOrigins: [],
      maxBodyBytes: 1,
      ...(privateTailnet ? { testMode: true } : {}),
    };
  }

  /** Returns the address that the process which runs the node has published. */
  #publishedAddress(): EgressAddress | undefined {
    const { folder, base } = this.#options;
    try {
      const { egress, secret } = parseObject(readFileSync(join(folder, EGRESS_FILE), "utf8")) ?? {};
      return typeof egress === "string" && typeof secret === "string" ? { egress, secret, base } : undefined;
    } catch {
      return undefined;
    }
  }
}

function notJoined(loginUrl: string | undefined, joinMs: number): Fault {
  return loginUrl === undefined
    ? new Fault("unavailable", `The bridge has not joined the tailnet within ${joinMs / 1000} s`, {
        hint: "See whether this machine reaches the control server.",
      })
    : new Fault("unavailable", `The bridge waits for a login: open ${loginUrl}`, {
        hint: "Or start it once with TS_AUTHKEY, or run cairn bridge NAME --login in a terminal.",
      });
}
