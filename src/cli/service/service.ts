// cairn service install|uninstall|status: runs a node under systemd or launchd. Installing twice changes nothing.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { type Command, type Invocation, isSet, type Option, textOption } from "../command.ts";
import { NEGATIVE_EXIT } from "../exit.ts";
import { say, showResult, writeData } from "../output.ts";
import { ownCommand } from "../own-command.ts";
import { installedState, runManager, runOrFail, type Service, serviceFor } from "./manager.ts";
import { SYSTEM_ENVIRONMENT } from "./systemd.ts";

const COMMON: readonly Option[] = [{ flags: "--user", help: "of your own service manager, without root" }];
const FOLDERS: readonly Option[] = [
  ...COMMON,
  { flags: "--data <dir>", help: "data folder of the node" },
  { flags: "--config <file>", help: "settings file of the node", offers: "files" },
];

/** `cairn service install`. */
export const serviceInstall: Command = {
  words: ["service", "install"],
  summary: "run a node under systemd or launchd from now on; installing again only updates it",
  more: `Put a key for the first start into ${SYSTEM_ENVIRONMENT} (with --user: ~/.config/cairn/cairn.env), mode 0600:
  TS_AUTHKEY=…
Without a key, the login URL is in the log: journalctl -u cairn.`,
  options: [
    ...FOLDERS,
    { flags: "--no-start", help: "install without starting" },
    { flags: "--print", help: "only print the unit and change nothing" },
  ],
  async run(invocation) {
    const service = serviceOf(invocation);
    if (isSet(invocation, "print")) {
      await writeData(service.text);
      return 0;
    }
    refuseHiddenProgram(service);
    const before = installedState(service);
    if (before !== "same") await writeService(service);
    for (const words of service.enable) await runOrFail(words);
    const start = invocation.options["start"] !== false;
    if (start && (before !== "same" || !(await isActive(service)))) await restart(service);
    const what = {
      same: "was already installed, unchanged",
      differs: "was updated",
      absent: "is installed",
    };
    await writeData(`${service.path} ${what[before]}${start ? "" : "; not started"}\n`);
    return 0;
  },
};

/** A system service cannot see home folders, so a program in one would not start. */
function refuseHiddenProgram(service: Service): void {
  const hidden = ownCommand().find((word) => /^\/(home|root|run\/user)\//.test(word));
  if (service.kind !== "systemd" || service.account === undefined || hidden === undefined) return;
  throw new Fault("invalid_input", `${hidden} is in a home folder, which a system service cannot see`, {
    hint: "Copy the executable to /usr/local/bin and install from there, or install your own service with --user.",
  });
}

async function writeService(service: Service): Promise<void> {
  if (service.account !== undefined) await ensureAccount(service.account);
  try {
    mkdirSync(dirname(service.path), { recursive: true });
    writeFileSync(service.path, service.text, { mode: 0o644 });
  } catch (cause) {
    throw new Fault("forbidden", `Cannot write ${service.path}: ${reasonOf(cause)}`, {
      hint: "Run it with sudo, or install your own with --user.",
      cause,
    });
  }
  for (const words of service.reload) await runOrFail(words);
}

/** Creates the account of the service: a node needs no root rights. */
async function ensureAccount(account: string): Promise<void> {
  if (
    readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .some((line) => line.startsWith(`${account}:`))
  )
    return;
  if (process.getuid?.() !== 0) {
    throw new Fault("forbidden", `The account ${account} does not exist, and only root can create it`, {
      hint: "Run it with sudo, or install your own with --user.",
    });
  }
  const words = [
    "useradd",
    "--system",
    "--home-dir",
    "/var/lib/cairn",
    "--no-create-home",
    "--shell",
    "/usr/sbin/nologin",
    account,
  ];
  await runOrFail(words);
  say(`created the account ${account}`);
}

async function restart(service: Service): Promise<void> {
  for (const [index, words] of service.restart.entries()) {
    // launchd has no restart: unloading a job that is not loaded fails, which is no error here.
    if (index < service.restart.length - 1) await runManager(words);
    else await runOrFail(words);
  }
}

/** `cairn service uninstall`. */
export const serviceUninstall: Command = {
  words: ["service", "uninstall"],
  summary: "stop and remove the service; its data is kept",
  options: COMMON,
  async run(invocation) {
    const service = serviceOf(invocation);
    if (installedState(service) === "absent") {
      await writeData(`${service.path} is not installed\n`);
      return 0;
    }
    for (const words of service.disable) {
      const { code, err } = await runManager(words);
      if (code !== 0) say(`${words.join(" ")} ended with ${code}: ${err}`);
    }
    try {
      rmSync(service.path);
    } catch (cause) {
      throw new Fault("forbidden", `Cannot remove ${service.path}: ${String(cause)}`, { hint: "Run it with sudo." });
    }
    for (const words of service.reload) await runManager(words);
    await writeData(`${service.path} is removed; the data is kept\n`);
    return 0;
  },
};

/** `cairn service status`. */
export const serviceStatus: Command = {
  words: ["service", "status"],
  summary: "show whether the service is installed, up to date and running; exits 3 when it does not run",
  options: [...FOLDERS, { flags: "--json", help: "print JSON" }],
  async run(invocation) {
    const service = serviceOf(invocation);
    const installed = installedState(service);
    const { code, out, err } = await runManager(service.state);
    const active = code === 0 && isRunning(service, out);
    const shown = { manager: service.kind, path: service.path, installed, active, detail: code === 0 ? out : err };
    const text = `${service.path}: ${STATES[installed]}; ${active ? "it runs" : "it does not run"}\n${shown.detail}\n`;
    await showResult(invocation, shown, text);
    return active ? 0 : NEGATIVE_EXIT;
  },
};

const STATES = {
  absent: "not installed",
  same: "installed and up to date",
  differs: "installed, but not up to date (cairn service install updates it)",
} as const;

async function isActive(service: Service): Promise<boolean> {
  const { code, out } = await runManager(service.state);
  return code === 0 && isRunning(service, out);
}

/** Reports whether the output of the manager says that the service runs. */
export function isRunning(service: Pick<Service, "kind">, output: string): boolean {
  return service.kind === "systemd" ? /^ActiveState=active$/m.test(output) : /^\s*state = running$/m.test(output);
}

function serviceOf(invocation: Invocation): Service {
  return serviceFor({
    user: isSet(invocation, "user"),
    dataDir: textOption(invocation, "data"),
    configFile: textOption(invocation, "config"),
    env: invocation.env,
  });
}
