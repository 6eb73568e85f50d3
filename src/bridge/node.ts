// The tailnet node of `cairn bridge NAME`: joins with a key once, keeps its state under the data folder, and gives the way out to the named node.
// Bridges of one person to one name share a node: who holds the folder's lock runs it, the others use its egress and take over when it goes.

import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Environment } from "../config/environment.ts";
import type { Loaded } from "../config/load.ts";
import { socketPaths } from "../config/paths.ts";
import type { Secrets } from "../config/secrets.ts";
import { refuseRealControl, refuseUntagged } from "../config/tailnet-settings.ts";
import { prepareSockets } from "../datadir/index.ts";
import { Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";
import type { LogLine } from "../observe/logging.ts";
import { registerSecret } from "../observe/redact.ts";
import { type DataLock, lockDataFolder } from "../store/lock.ts";
import { openTailnet, type Tailnet, type UpParams } from "../tailnet/index.ts";
import type { EgressAddress } from "./endpoint.ts";

const LOOK_AGAIN_MS = 100;
/** Where the holder says how others reach its egress. */
const PLACE_FILE = "egress.json";

export interface BridgeNodeOptions {
  /** `<data>/bridge-<name>`. */
  folder: string;
  dataDir: string;
  /** `http://cairn`, as the target is called on the tailnet. */
  base: string;
  hostname: string;
  settings: Loaded["settings"];
  secrets: Secrets;
  env: Environment;
  privateTailnet: boolean;
  /** How long joining may take, in ms. */
  joinMs: number;
  log: LogLine;
  /** A person has to open this URL. */
  onLoginUrl: (url: string) => void;
}

interface Held {
  lock: DataLock;
  /** Resolves when the node runs. */
  place: Promise<EgressAddress>;
  close: () => Promise<void>;
}

/** The node that a bridge runs, or uses where another bridge of this person runs it. */
export class BridgeNode {
  readonly #options: BridgeNodeOptions;
  #held: Held | undefined;
  #closed = false;

  constructor(options: BridgeNodeOptions) {
    refuseUntagged(options.settings, options.secrets);
    if (options.privateTailnet) refuseRealControl(options.settings.control_url);
    ensurePrivateFolder(options.dataDir);
    ensurePrivateFolder(options.folder);
    this.#options = options;
  }

  /** The way to the named node, once there is one; joins where nobody else has. Rejects with the Fault of the tailnet. */
  async address(): Promise<EgressAddress> {
    const deadline = performance.now() + this.#options.joinMs;
    for (;;) {
      if (this.#closed) throw new Fault("cancelled", "The bridge ends");
      const held = this.#held ?? this.#hold();
      if (held !== undefined) return held.place;
      const place = this.#placeOfHolder();
      if (place !== undefined) return place;
      if (performance.now() > deadline) {
        throw new Fault("unavailable", `Another bridge holds ${this.#options.folder} and has not joined the tailnet`, {
          hint: "Look at its log; cairn bridge NAME --login in a terminal shows what it waits for.",
        });
      }
      await pause(LOOK_AGAIN_MS, AbortSignal.timeout(this.#options.joinMs));
    }
  }

  /** Leaves; another bridge that uses this node takes over. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#held?.close();
  }

  /** Becomes the one who runs the node, or undefined when another process is. */
  #hold(): Held | undefined {
    let lock: DataLock;
    try {
      lock = lockDataFolder(this.#options.folder);
    } catch (error) {
      if (error instanceof Fault && error.code === "data_locked") return undefined;
      throw error;
    }
    const end = new AbortController();
    const joining = this.#join(end.signal);
    const release = async (): Promise<void> => {
      if (this.#held === held) this.#held = undefined;
      end.abort();
      const joined = await joining.catch(() => undefined);
      rmSync(join(this.#options.folder, PLACE_FILE), { force: true });
      await joined?.tailnet.close();
      lock.release();
    };
    const held: Held = { lock, place: joining.then(({ address }) => address), close: release };
    this.#held = held;
    // A join that failed is tried anew by the next call; a node that ended too.
    joining.then(
      ({ tailnet }) => tailnet.on("fatal", () => void release()),
      () => void release(),
    );
    held.place.catch(() => {});
    return held;
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
    writePrivate(join(folder, PLACE_FILE), JSON.stringify({ egress, secret }));
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
      // It listens nowhere, so nothing is ever passed on to it.
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

  #placeOfHolder(): EgressAddress | undefined {
    try {
      const said: unknown = JSON.parse(readFileSync(join(this.#options.folder, PLACE_FILE), "utf8"));
      if (typeof said !== "object" || said === null || !("egress" in said) || !("secret" in said)) return undefined;
      return { egress: String(said.egress), secret: String(said.secret), base: this.#options.base };
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

/** Whole or not at all, and for this user alone. */
function writePrivate(path: string, text: string): void {
  mkdirSync(join(path, ".."), { recursive: true, mode: 0o700 });
  const partial = `${path}.${process.pid}.partial`;
  writeFileSync(partial, text, { mode: 0o600 });
  renameSync(partial, path);
}
