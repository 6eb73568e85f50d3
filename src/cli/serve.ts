// cairn serve and cairn dev: run a node until a signal or a failure ends it. Their flags are the settings table's.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Loaded, loadSettings } from "../config/load.ts";
import { eachSecret, readSecrets, SECRET_NAMES } from "../config/secrets.ts";
import { flagOf } from "../config/setting.ts";
import { SETTING_ROWS, SETTING_TABLES } from "../features/index.ts";
import { Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import {
  jsonEvent,
  type NodeEvent,
  type RunningNode,
  type StartOptions,
  startNode,
  terminalEvent,
} from "../node/index.ts";
import { configureLogging } from "../observe/logging.ts";
import { registerSecret } from "../observe/redact.ts";
import { LoopbackTailnet } from "../tailnet/index.ts";
import { type Command, type Invocation, type Option, textOption } from "./command.ts";
import { reportFailure } from "./exit.ts";
import { ownCommand } from "./own-command.ts";

const START_PATIENCE_MS = 3_000;
const DEV_PORT = 8470;

const SETTING_OPTIONS: readonly Option[] = SETTING_ROWS.map(
  ([key, row]): Option => ({
    flags: row.kind === "flag" ? flagOf(key) : `${flagOf(key)} <${row.placeholder ?? "value"}>`,
    help: `${row.help}${defaultText(row.default)}`,
    repeated: row.kind === "list",
    ...(row.choices === undefined ? {} : { offers: row.choices }),
  }),
);

export const serve: Command = {
  words: ["serve"],
  summary: "run a node",
  more: "Keys come from TS_AUTHKEY, TS_AUTH_KEY, TAILSCALE_AUTH_KEY or TS_CLIENT_SECRET (each also as NAME_FILE\nor systemd credential); without one, a login URL is printed. Each flag is also a variable: --log-level is CAIRN_LOG_LEVEL.",
  options: [
    ...SETTING_OPTIONS,
    { flags: "--config <file>", help: "Settings file (default: cairn.toml in the data folder)." },
    { flags: "--conformance", help: "Serve the official MCP suite's fixtures on 127.0.0.1, and join no tailnet." },
    { flags: "--private-tailnet", help: "The control server is a test tailnet on 127.0.0.1." },
    { flags: "--loopback <port>", help: "Port on 127.0.0.1 (0: any), only with --conformance or --private-tailnet." },
  ],
  async run(invocation) {
    const conformance = invocation.options["conformance"] === true;
    const loopback = textOption(invocation, "loopback") ?? (conformance ? "0" : undefined);
    return withFolder(conformance && needsFolder(invocation), (folder) =>
      serveUntilEnd(invocation, folder, {
        conformance,
        privateTailnet: invocation.options["privateTailnet"] === true,
        loopbackPort: loopback === undefined ? undefined : portOf(loopback, "--loopback"),
      }),
    );
  },
};

/** Settings that mean nothing without a tailnet, or are dev's own. */
const NOT_OF_DEV = /^--(control-url|tags|ephemeral|tailnet-engine) /;

export const dev: Command = {
  words: ["dev"],
  summary: "run a node for development: no tailnet, 127.0.0.1 only, everyone on this machine is a member",
  more: "Without --data the data are temporary and go with the node. Never put anything into it that others on this machine must not see.",
  options: [
    ...SETTING_OPTIONS.filter(({ flags }) => !NOT_OF_DEV.test(`${flags} `)),
    { flags: "--config <file>", help: "Settings file (default: none).", offers: "files" },
    { flags: "--port <port>", help: `Port on 127.0.0.1 (0: any; default ${DEV_PORT}).` },
  ],
  async run(invocation) {
    const port = portOf(textOption(invocation, "port") ?? String(DEV_PORT), "--port");
    return withFolder(needsFolder(invocation), (folder) => {
      process.stderr.write(
        `cairn: DEVELOPMENT NODE. No tailnet: everyone on this machine may read and write it by 127.0.0.1.${
          folder === undefined ? "" : " Its data go with it."
        }\n`,
      );
      return serveUntilEnd(invocation, folder, {
        loopbackPort: port,
        tailnet: async (log) => new LoopbackTailnet(log),
      });
    });
  },
};

/** Runs with a temporary data folder if one is wanted, and removes it. */
async function withFolder(wanted: boolean, run: (folder: string | undefined) => Promise<number>): Promise<number> {
  const folder = wanted ? mkdtempSync(join(tmpdir(), "cairn-temporary-")) : undefined;
  try {
    return await run(folder);
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

type Mode = Pick<StartOptions, "conformance" | "privateTailnet" | "loopbackPort" | "tailnet">;

async function serveUntilEnd(invocation: Invocation, temporary: string | undefined, mode: Mode): Promise<number> {
  const loaded = load(invocation, temporary);
  const { settings } = loaded;
  configureLogging({ level: settings["log.level"], format: settings["log.format"] });
  const secrets = readSecrets(invocation.env);
  eachSecret(secrets, registerSecret);
  // Children must not inherit them; the tailnet half gets them over its channel.
  for (const name of SECRET_NAMES) delete process.env[name];

  const ended = Promise.withResolvers<string | Fault>();
  let node: RunningNode | undefined;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    let seen = 0;
    process.on(signal, () => {
      seen += 1;
      // The second one is meant: leave at once. Everything acknowledged is on disk.
      if (seen > 1) process.exit(130);
      ended.resolve(signal);
    });
  }
  // A closed terminal takes its node with it; a service is told to read its policy file again.
  const onTerminal = process.stdout.isTTY === true;
  process.on("SIGHUP", () => (onTerminal ? ended.resolve("SIGHUP") : node?.reload()));

  const starting = startNode({ loaded, secrets, command: ownCommand(), env: invocation.env, report, ...mode });
  // A signal that comes while the node still starts waits for it only so long.
  node = await Promise.race([starting, ended.promise.then(() => afterPatience())]);
  if (node === undefined) return 0;
  void node.failed.then(ended.resolve);
  const reason = await ended.promise;
  await node.stop(reason instanceof Fault ? reason.message : reason);
  return reason instanceof Fault ? reportFailure(reason) : 0;
}

async function afterPatience(): Promise<undefined> {
  await pause(START_PATIENCE_MS);
}

function report(event: NodeEvent): void {
  process.stdout.write(process.stdout.isTTY === true ? terminalEvent(event) : jsonEvent(event));
}

function load(invocation: Invocation, temporary: string | undefined): Loaded {
  const flags: Record<string, string | boolean | readonly string[]> = {};
  for (const [key] of SETTING_ROWS) {
    const given = invocation.options[camelCase(flagOf(key))];
    if (typeof given === "string" || typeof given === "boolean") flags[key] = given;
    // A list may be given as one text with commas, or as several flags.
    else if (Array.isArray(given)) flags[key] = given.flatMap((item) => String(item).split(","));
  }
  if (temporary !== undefined) flags["data"] = temporary;
  return loadSettings({
    tables: SETTING_TABLES,
    flags,
    env: invocation.env,
    configFile: textOption(invocation, "config"),
  });
}

function needsFolder(invocation: Invocation): boolean {
  return textOption(invocation, "data") === undefined && !invocation.env["CAIRN_DATA"];
}

function defaultText(value: unknown): string {
  if (value === undefined || value === false || (Array.isArray(value) && value.length === 0)) return "";
  return ` (default: ${String(value)})`;
}

function camelCase(flag: string): string {
  return flag.slice(2).replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function portOf(text: string, flag: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port >= 0 && port <= 65_535) return port;
  throw new Fault("invalid_input", `${flag} should be a port, and is ${JSON.stringify(text)}`, {
    hint: "Give a number from 0 (any free port) to 65535.",
  });
}
