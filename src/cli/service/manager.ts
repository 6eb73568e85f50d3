// The service of this machine: path and text of its unit or job, and the commands of the service manager around it.

import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Environment } from "../../config/environment.ts";
import { loadSettings } from "../../config/load.ts";
import { SYSTEM_DATA } from "../../config/paths.ts";
import { SETTING_ROWS, SETTING_TABLES } from "../../features/index.ts";
import { childEnvironment } from "../../lib/child-environment.ts";
import { Fault } from "../../lib/fault.ts";
import { ownCommand } from "../own-command.ts";
import { LABEL, launchdJob } from "./launchd.ts";
import { systemdUnit, UNIT } from "./systemd.ts";

/** Options of the service commands. */
export interface ServiceChoice {
  user: boolean;
  dataDir: string | undefined;
  configFile: string | undefined;
  env: Environment;
}

/** A service as this version installs it. */
export interface Service {
  kind: "systemd" | "launchd";
  path: string;
  text: string;
  /** Account that a system unit runs as; undefined where none is created. */
  account: string | undefined;
  /** Files and folders beside the executable that the service needs, with the flag or setting that names each. */
  paths: readonly NamedPath[];
  /** Commands of the manager, argv each. */
  enable: readonly (readonly string[])[];
  reload: readonly (readonly string[])[];
  restart: readonly (readonly string[])[];
  disable: readonly (readonly string[])[];
  state: readonly string[];
  /** Clears the failed state of a service that is not there any more. */
  forget: readonly (readonly string[])[];
  /** Prints the log without times; undefined where the manager keeps none. */
  journal: readonly string[] | undefined;
  /** File with the output, of a manager that keeps no log and reports a start before the service is ready. */
  logFile?: string;
}

/** A path that a flag or a setting names. */
export interface NamedPath {
  setting: string;
  path: string;
  isFile: boolean;
}

const ACCOUNT = "cairn";

/** The service for these choices; Fault `invalid_input` where this machine has no such manager. */
export function serviceFor(choice: ServiceChoice): Service {
  return process.platform === "darwin" ? launchd(choice) : systemd(choice);
}

function systemd(choice: ServiceChoice): Service {
  const { user, env } = choice;
  const config = env["XDG_CONFIG_HOME"]?.startsWith("/") ? env["XDG_CONFIG_HOME"] : join(homeOf(env), ".config");
  const path = user ? join(config ?? "", "systemd", "user", UNIT) : join("/etc/systemd/system", UNIT);
  const systemctl = ["systemctl", ...(user ? ["--user"] : [])];
  const paths = user ? [] : pathsOf(choice);
  const backupFolder = paths.find(({ setting }) => setting === "backup.folder")?.path;
  const text = systemdUnit({ ...choice, command: ownCommand(), account: ACCOUNT, backupFolder });
  return {
    kind: "systemd",
    path,
    text,
    account: user ? undefined : ACCOUNT,
    paths,
    reload: [[...systemctl, "daemon-reload"]],
    enable: [[...systemctl, "enable", UNIT]],
    restart: [[...systemctl, "restart", UNIT]],
    disable: [[...systemctl, "disable", "--now", UNIT]],
    state: [...systemctl, "show", UNIT, "--property=ActiveState,SubState,StatusText,UnitFileState,NRestarts,MainPID"],
    forget: [[...systemctl, "reset-failed", UNIT]],
    journal: ["journalctl", ...(user ? ["--user"] : []), "--unit", UNIT, "--no-pager", "--output=cat"],
  };
}

/** Returns the paths of the flags, and of the settings file: this command and the service share no other settings. */
function pathsOf({ dataDir, configFile }: ServiceChoice): NamedPath[] {
  const flags = [
    ...(dataDir === undefined ? [] : [{ setting: "--data", path: dataDir, isFile: false }]),
    ...(configFile === undefined ? [] : [{ setting: "--config", path: configFile, isFile: true }]),
  ];
  try {
    const loaded = loadSettings({
      tables: SETTING_TABLES,
      flags: { data: dataDir ?? SYSTEM_DATA },
      env: {},
      configFile,
    });
    const set = SETTING_ROWS.filter(([key, { kind }]) => kind === "path" && key !== "data" && loaded.origins.has(key));
    return [
      ...flags,
      ...set.map(([setting, { placeholder }]) => ({
        setting,
        path: String(loaded.all[setting]),
        isFile: placeholder === "FILE",
      })),
    ];
  } catch (error) {
    // The node reports invalid settings when it starts.
    if (error instanceof Fault) return flags;
    throw error;
  }
}

function launchd(choice: ServiceChoice): Service {
  const { user, env } = choice;
  const home = homeOf(env);
  const path = user
    ? join(home, "Library", "LaunchAgents", `${LABEL}.plist`)
    : join("/Library/LaunchDaemons", `${LABEL}.plist`);
  const logFile = user ? join(home, "Library", "Logs", "cairn.log") : "/var/log/cairn.log";
  const domain = user ? `gui/${process.getuid?.() ?? 0}` : "system";
  return {
    kind: "launchd",
    path,
    text: launchdJob({ ...choice, command: ownCommand(), logFile }),
    account: undefined,
    paths: [],
    reload: [],
    enable: [],
    restart: [
      ["launchctl", "bootout", `${domain}/${LABEL}`],
      ["launchctl", "bootstrap", domain, path],
    ],
    disable: [["launchctl", "bootout", `${domain}/${LABEL}`]],
    state: ["launchctl", "print", `${domain}/${LABEL}`],
    forget: [],
    journal: undefined,
    logFile,
  };
}

function homeOf(env: Environment): string {
  return env["HOME"] || homedir();
}

/** Compares the installed file with the text that this version installs. */
export function installedState(service: Service): "absent" | "same" | "differs" {
  if (!existsSync(service.path)) return "absent";
  return readFileSync(service.path, "utf8") === service.text ? "same" : "differs";
}

/** Result of a command. */
export interface CommandResult {
  code: number;
  out: string;
  err: string;
}

/** The variables by which systemctl and launchctl find the manager of their user. */
const ENVIRONMENT = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];

/** Longer than a unit may take to start (systemd.ts). */
const MANAGER_MS = 120_000;

/** Runs a command of the manager for at most two minutes. Returns code 127 where the program does not exist. */
export async function runManager(words: readonly string[]): Promise<CommandResult> {
  const [program = ""] = words;
  if (Bun.which(program) === null) return { code: 127, out: "", err: `there is no ${program} on this machine` };
  const child = Bun.spawn({
    cmd: [...words],
    env: childEnvironment(process.env, ENVIRONMENT),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: MANAGER_MS,
  });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, out: out.trim(), err: err.trim() };
}

/** The same, where a failure is one of the command line. */
export async function runOrFail(words: readonly string[]): Promise<void> {
  const { code, err, out } = await runManager(words);
  if (code === 0) return;
  throw new Fault("internal", `${words.join(" ")} ended with ${code}: ${err || out || "no output"}`, {
    hint: "Run the command by hand to see more.",
  });
}
