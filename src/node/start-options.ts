// What a node is started with, and which combinations are unsafe.

import type { Environment } from "../config/environment.ts";
import type { Loaded } from "../config/load.ts";
import type { Secrets } from "../config/secrets.ts";
import { refuseRealControl } from "../config/tailnet-settings.ts";
import { Fault } from "../lib/fault.ts";
import type { LogLine } from "../observe/logging.ts";
import type { Feature } from "../operation/feature.ts";
import type { Tailnet } from "../tailnet/index.ts";
import type { NodeEvent } from "./report/events.ts";

/** What a node is started with. */
export interface StartOptions {
  loaded: Loaded;
  /** Reads the settings as `loaded` was read, for `cairn reload`; left out: they cannot change while the node runs. */
  loadAgain?: () => Loaded;
  secrets: Secrets;
  env: Environment;
  /** Receives what people and scripts want to know; log lines go their own way. */
  report: (event: NodeEvent) => void;
  /** Port on 127.0.0.1 (0: any) for development and the conformance suite; refused on a real tailnet. */
  loopbackPort?: number | undefined;
  /** The control server is the test tailnet on this machine (native/TAILNET.md). */
  privateTailnet?: boolean;
  /** Serve the official MCP suite's fixtures on the loopback port, and join no tailnet. */
  conformance?: boolean;
  /** Another tailnet, for development and tests; the Go half is then loaded for the log alone. */
  tailnet?: (log: LogLine) => Promise<Tailnet>;
  /** `direct`: a log without raft and Go half, for tests of what lies above it. */
  engine?: "raft" | "direct";
  /** The features of the node; left out: those of the build. */
  features?: readonly Feature[];
  /** The words that run this executable, for backups in a child; without them there are none. */
  command?: readonly string[];
  nowMs?: () => number;
}

/** A port of the host is opened only where no real tailnet is joined (security.md 16). Fault `config_invalid`. */
export function refuseUnsafeModes(options: StartOptions): void {
  if (options.privateTailnet === true) refuseRealControl(options.loaded.settings.control_url);
  if (
    options.loopbackPort !== undefined &&
    options.privateTailnet !== true &&
    options.conformance !== true &&
    options.tailnet === undefined
  ) {
    throw new Fault("config_invalid", "A loopback port is opened only with --conformance or --private-tailnet", {
      hint: "Agents on this machine use `cairn bridge`; agents elsewhere use the tailnet address.",
    });
  }
}
