// The tailnet node of `cairn bridge NAME`: joins with a key once, keeps its state under the data folder, and provides
// the egress to the named node. Bridges of one user to one name share a node: the one that holds the folder's lock runs
// it, the others use its egress and take over when it ends.

import { randomBytes } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Environment } from "../config/environment.ts";
import type { Loaded } from "../config/load.ts";
import { socketPaths } from "../config/paths.ts";
import type { Secrets } from "../config/secrets.ts";
import { refuseRealControl, refuseUntagged } from "../config/tailnet-settings.ts";
import { prepareSockets } from "../datadir/index.ts";
import { writeAtomic } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";
import type { LogLine } from "../observe/logging.ts";
import { registerSecret } from "../observe/redact.ts";
import { type DataLock, lockDataFolder } from "../store/lock.ts";
import { openTailnet, type Tailnet, type UpParams } from "../tailnet/index.ts";
import { BridgeLogin } from "./bridge-login.ts";
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
  #login: BridgeLogin | undefined;
  /** What this process has published last. */
  #published = "";
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
      if (running !== undefined) {
        const address = await running.address;
        if (this.#login?.denial !== undefined) throw this.#login.denial;
        return address;
      }
      const { egress, secret, ...about } = this.#readPublished();
      const denial = denialOf(about);
      if (egress !== undefined && secret !== undefined) {
        if (denial !== undefined) throw denial;
        return { egress, secret, base: this.#options.base };
      }
      if (performance.now() > deadline) {
        throw (
          denial ??
          new Fault("unavailable", `Another bridge holds ${this.#options.folder} and has not joined the tailnet`, {
            hint: "Look at its log; cairn bridge NAME --login in a terminal shows what it waits for.",
          })
        );
      }
      await pause(POLL_MS, AbortSignal.timeout(this.#options.joinMs));
    }
  }

  /** Why the control server does not take the device, as far as it is known. */
  get denial(): Fault | undefined {
    return this.#login?.denial ?? denialOf(this.#readPublished());
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
      this.#published = "";
      this.#login = undefined;
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
    const egress = { egress: join(paths.internal, "egress.sock"), secret };
    let joined = false;
    const publish = () => {
      if (!signal.aborted) this.#publish({ ...(joined ? egress : {}), ...deniedOf(login.denial) });
    };
    const login = this.#openLogin(tailnet, publish);
    try {
      await tailnet.up(this.#params(paths.internal, secret));
      await login.joined(this.#options.joinMs, signal);
    } catch (error) {
      await tailnet.close();
      throw error;
    }
    joined = true;
    publish();
    return { tailnet, address: { ...egress, base } };
  }

  #openLogin(tailnet: Tailnet, onChange: () => void): BridgeLogin {
    const { base, secrets, log, onLoginUrl } = this.#options;
    const { authKey, clientSecret } = secrets;
    const hasKey = authKey !== undefined || clientSecret !== undefined;
    const { hostname: name } = new URL(base);
    const login = new BridgeLogin({ tailnet, name, authKey, hasKey, log, onLoginUrl, onChange });
    this.#login = login;
    return login;
  }

  /** Writes what the other bridges of this folder need to know, where it has changed. */
  #publish(published: Published): void {
    const file = join(this.#options.folder, EGRESS_FILE);
    const text = JSON.stringify(published);
    if (text === this.#published) return;
    this.#published = text;
    writeAtomic(file, text, { shared: true });
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

  /** Returns what the process which runs the node has published; nothing where none does. */
  #readPublished(): Published {
    try {
      return published.parse(JSON.parse(readFileSync(join(this.#options.folder, EGRESS_FILE), "utf8")));
    } catch {
      return {};
    }
  }
}

/** What the running node publishes: how to reach its egress, and why the control server does not take it. */
const published = z.object({
  egress: z.string().optional(),
  secret: z.string().optional(),
  denied: z.object({ message: z.string(), hint: z.string() }).optional(),
});
type Published = z.infer<typeof published>;

function deniedOf(denial: Fault | undefined): Pick<Published, "denied"> {
  return denial === undefined ? {} : { denied: { message: denial.message, hint: denial.hint ?? "" } };
}

function denialOf({ denied }: Published): Fault | undefined {
  return denied === undefined ? undefined : new Fault("unavailable", denied.message, { hint: denied.hint });
}
