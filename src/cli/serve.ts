// cairn serve and cairn dev: run a node until a signal or a failure ends it. Their flags come from the settings table.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Loaded, loadSettings } from "../config/load.ts";
import { eachSecret, readSecrets, SECRET_NAMES, secretWarnings } from "../config/secrets.ts";
import { envOf, flagOf, helpOf } from "../config/setting.ts";
import type { SettingKey } from "../config/settings.ts";
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
import { type Command, type Invocation, isSet, type Option, textOption } from "./command.ts";
import { isOutboundSetting, withoutServices } from "./dev-settings.ts";
import { INTERRUPTED_EXIT, reportFailure } from "./exit.ts";
import { say } from "./output.ts";
import { ownCommand } from "./own-command.ts";

/** After a signal during the start, the start is waited for this long, in ms. */
const START_GRACE_MS = 3_000;
const DEV_PORT = 8470;

const SETTING_OPTIONS: readonly Option[] = SETTING_ROWS.map(
  ([key, row]): Option => ({
    flags: row.kind === "flag" ? flagOf(key) : `${flagOf(key)} <${row.placeholder ?? "value"}>`,
    help: `${helpOf(row)}${defaultText(row.default)}`,
    repeated: row.kind === "list",
    ...(row.choices === undefined ? {} : { offers: row.choices }),
  }),
);

/** `cairn serve`. */
export const serve: Command = {
  words: ["serve"],
  summary: "run a node",
  more: `Keys come from TS_AUTHKEY, TS_AUTH_KEY, TAILSCALE_AUTH_KEY or TS_CLIENT_SECRET (each also as NAME_FILE or as
systemd credential); without one, a login URL is printed.
Each flag is also a variable: --log-level is CAIRN_LOG_LEVEL.`,
  options: [
    ...SETTING_OPTIONS,
    { flags: "--config <file>", help: "Settings file (default: cairn.toml in the data folder)." },
    {
      flags: "--conformance",
      help: "Serve the fixtures of the official MCP conformance suite on 127.0.0.1, and join no tailnet.",
    },
    { flags: "--private-tailnet", help: "The control server is a test tailnet on 127.0.0.1." },
    { flags: "--loopback <port>", help: "Port on 127.0.0.1 (0: any), only with --conformance or --private-tailnet." },
  ],
  async run(invocation) {
    const conformance = isSet(invocation, "conformance");
    const loopback = textOption(invocation, "loopback") ?? (conformance ? "0" : undefined);
    return withFolder(conformance && needsFolder(invocation), (folder) =>
      serveUntilEnd(invocation, folder, {
        conformance,
        privateTailnet: isSet(invocation, "privateTailnet"),
        loopbackPort: loopback === undefined ? undefined : portOf(loopback, "--loopback"),
      }),
    );
  },
};

/** Settings that have no meaning without a tailnet, where there is no fleet to join either. */
const TAILNET_SETTINGS: readonly SettingKey[] = [
  ...(["control_url", "tags", "ephemeral", "tailnet.engine", "role", "join", "discard_local"] as const),
];
const isTailnetSetting = (key: string): boolean => TAILNET_SETTINGS.some((each) => each === key);
const NOT_OF_DEV = new Set(
  SETTING_ROWS.flatMap(([key]) => (isTailnetSetting(key) || isOutboundSetting(key) ? [flagOf(key)] : [])),
);

/** `cairn dev`. */
export const dev: Command = {
  words: ["dev"],
  summary: "run a node for development: no tailnet, 127.0.0.1 only, everyone on this machine may use it",
  more: `Without --data the data is temporary. Everyone on this machine can read and write it.
It reaches nothing outside: to send events or traces, or to use a service, use npm start or a node on a tailnet.`,
  options: [
    ...SETTING_OPTIONS.filter(({ flags }) => !NOT_OF_DEV.has(flags.split(" ")[0] ?? "")),
    { flags: "--config <file>", help: "Settings file (default: none).", offers: "files" },
    { flags: "--port <port>", help: `Port on 127.0.0.1 (0: any; default ${DEV_PORT}).` },
  ],
  async run(invocation) {
    const port = portOf(textOption(invocation, "port") ?? String(DEV_PORT), "--port");
    return withFolder(needsFolder(invocation), (folder) => {
      const temporary = folder === undefined ? "" : " Its data is removed when it stops.";
      process.stderr.write(
        `cairn: DEVELOPMENT NODE. No tailnet: everyone on this machine can use it on 127.0.0.1.${temporary}\n`,
      );
      return serveUntilEnd(invocation, folder, {
        loopbackPort: port,
        tailnet: async (log) => new LoopbackTailnet(log),
      });
    });
  },
};

/** Runs with a temporary data folder if one is wanted, and removes it afterwards. */
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
  // The working folder changes below, and relative paths are those of the start.
  const cwd = process.cwd();
  const read = () => {
    const all = load(invocation, temporary, cwd);
    if (mode.tailnet === undefined) return { loaded: all, unused: undefined };
    refuseTailnetSettings(all);
    return withoutServices(all);
  };
  const { loaded, unused } = read();
  if (unused !== undefined) say(unused);
  const { settings } = loaded;
  configureLogging({ level: settings["log.level"], format: settings["log.format"] });
  const secrets = readSecrets(invocation.env);
  eachSecret(secrets, registerSecret);
  // Child processes must not inherit them; the tailnet half gets them over its channel.
  for (const name of SECRET_NAMES) delete process.env[name];

  // Events for people and scripts are no condition for serving either.
  process.stdout.on("error", () => {});

  const ended = Promise.withResolvers<string | Fault>();
  let node: RunningNode | undefined;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    let seen = 0;
    process.on(signal, () => {
      seen += 1;
      // A second signal exits at once: everything acknowledged is on disk.
      if (seen > 1) process.exit(INTERRUPTED_EXIT);
      ended.resolve(signal);
    });
  }
  // SIGHUP on a terminal means that it was closed; for a service it means to read the settings again.
  const onTerminal = process.stdout.isTTY === true;
  process.on("SIGHUP", () => (onTerminal ? ended.resolve("SIGHUP") : node?.reload()));

  const loadAgain = () => read().loaded;
  const starting = startNode({
    loaded,
    loadAgain,
    secrets,
    command: ownCommand(),
    env: invocation.env,
    report,
    ...mode,
  });
  // After a signal during the start, the start is waited for only briefly.
  node = await Promise.race([starting, ended.promise.then(() => startGrace())]);
  if (node === undefined) return 0;
  // The folder in which it was started may be removed: children, such as that of a backup, could not start there.
  process.chdir("/");
  void node.failed.then(ended.resolve);
  const reason = await ended.promise;
  await node.stop(reason instanceof Fault ? reason.message : reason);
  return reason instanceof Fault ? reportFailure(reason) : 0;
}

/** Throws Fault `invalid_input` where a variable or file asks a development node to join something. */
function refuseTailnetSettings({ origins }: Loaded): void {
  const key = TAILNET_SETTINGS.find((each) => origins.has(each));
  const origin = key === undefined ? undefined : origins.get(key);
  if (key === undefined || origin === undefined) return;
  throw new Fault(
    "invalid_input",
    `cairn dev joins no tailnet and no fleet, but ${key} is set ${origin === envOf(key) ? "by" : "in"} ${origin}`,
    {
      hint: `Leave it out: ${origin === envOf(key) ? `unset ${origin}` : `remove it from ${origin}`}. cairn serve joins, and so does npm start.`,
    },
  );
}

async function startGrace(): Promise<undefined> {
  await pause(START_GRACE_MS);
}

function report(event: NodeEvent): void {
  process.stdout.write(process.stdout.isTTY === true ? terminalEvent(event) : jsonEvent(event));
}

function load(invocation: Invocation, temporary: string | undefined, cwd: string): Loaded {
  const flags: Record<string, string | boolean | readonly string[]> = {};
  for (const [key] of SETTING_ROWS) {
    const given = invocation.options[camelCase(flagOf(key))];
    if (typeof given === "string" || typeof given === "boolean") flags[key] = given;
    // A list is given as one text with commas, or as several flags.
    else if (Array.isArray(given)) flags[key] = given.flatMap((item) => String(item).split(","));
  }
  if (temporary !== undefined) flags["data"] = temporary;
  const loaded = loadSettings({
    tables: SETTING_TABLES,
    flags,
    env: invocation.env,
    cwd,
    configFile: textOption(invocation, "config"),
    // A backup in a folder that is removed at the end is none.
    ...(temporary === undefined ? {} : { defaults: { "backup.schedule": "off" } }),
  });
  return { ...loaded, warnings: [...loaded.warnings, ...secretWarnings(invocation.env)] };
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
  throw new Fault("invalid_input", `${flag} must be a port, not ${JSON.stringify(text)}`, {
    hint: "Give a number from 0 (any free port) to 65535.",
  });
}
