// cairn service install|uninstall|status: a node that starts with the machine, under systemd or launchd. Installing twice changes nothing.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { type Command, type Invocation, type Option, textOption } from "../command.ts";
import { say, writeData } from "../output.ts";
import { ownCommand } from "../own-command.ts";
import { installedState, runManager, runOrFail, type Service, serviceFor } from "./manager.ts";
import { SYSTEM_ENVIRONMENT } from "./systemd.ts";

/** Asked for, and not so. */
const NOT_RUNNING_EXIT = 3;

const COMMON: readonly Option[] = [{ flags: "--user", help: "of your own manager, without root" }];
const PLACES: readonly Option[] = [
  ...COMMON,
  { flags: "--data <dir>", help: "data folder of the node" },
  { flags: "--config <file>", help: "settings file of the node", offers: "files" },
];

/** `cairn service install`. */
export const serviceInstall: Command = {
  words: ["service", "install"],
  summary: "let systemd or launchd run a node from now on; doing it again changes nothing",
  more: `A key for the first start belongs into ${SYSTEM_ENVIRONMENT} (or ~/.config/cairn/cairn.env with --user), mode 0600: TS_AUTHKEY=…\nWithout one the login URL is in the log: journalctl -u cairn.`,
  options: [
    ...PLACES,
    { flags: "--no-start", help: "only install" },
    { flags: "--print", help: "only print the unit; nothing is changed" },
  ],
  async run(invocation) {
    const service = serviceOf(invocation);
    if (invocation.options["print"] === true) {
      await writeData(service.text);
      return 0;
    }
    refuseHiddenProgram(service);
    const before = installedState(service);
    if (before !== "same") await put(service);
    for (const words of service.enable) await runOrFail(words);
    const start = invocation.options["start"] !== false;
    if (start && (before !== "same" || !(await isActive(service)))) await startAnew(service);
    const what = {
      same: "was installed already, unchanged",
      differs: "was brought up to date",
      absent: "is installed",
    };
    await writeData(`${service.path} ${what[before]}${start ? "" : "; not started"}\n`);
    return 0;
  },
};

/** A system service sees no home folders, so a program in one would not start. */
function refuseHiddenProgram(service: Service): void {
  const hidden = ownCommand().find((word) => /^\/(home|root|run\/user)\//.test(word));
  if (service.kind !== "systemd" || service.account === undefined || hidden === undefined) return;
  throw new Fault("invalid_input", `${hidden} lies in a home folder, which a system service cannot see`, {
    hint: "Copy the executable to /usr/local/bin and install from there, or install your own service with --user.",
  });
}

async function put(service: Service): Promise<void> {
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

/** An account that owns nothing else; a node needs no rights of root. */
async function ensureAccount(account: string): Promise<void> {
  if (
    readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .some((line) => line.startsWith(`${account}:`))
  )
    return;
  if (process.getuid?.() !== 0) {
    throw new Fault("forbidden", `The account ${account} is missing, and only root can make it`, {
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
  say(`made the account ${account}`);
}

async function startAnew(service: Service): Promise<void> {
  for (const [index, words] of service.restart.entries()) {
    // launchd knows no restart: what is not loaded cannot be unloaded, and that is no failure.
    if (index < service.restart.length - 1) await runManager(words);
    else await runOrFail(words);
  }
}

/** `cairn service uninstall`. */
export const serviceUninstall: Command = {
  words: ["service", "uninstall"],
  summary: "stop the service and remove it; the data stay",
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
    await writeData(`${service.path} is removed; the data stay\n`);
    return 0;
  },
};

/** `cairn service status`. */
export const serviceStatus: Command = {
  words: ["service", "status"],
  summary: "show whether the service is installed, current and running; exits 3 when it does not run",
  options: [...PLACES, { flags: "--json", help: "as JSON" }],
  async run(invocation) {
    const service = serviceOf(invocation);
    const installed = installedState(service);
    const { code, out, err } = await runManager(service.state);
    const active = code === 0 && isRunning(service, out);
    const shown = { manager: service.kind, path: service.path, installed, active, detail: code === 0 ? out : err };
    await writeData(
      invocation.options["json"] === true
        ? `${JSON.stringify(shown)}\n`
        : `${service.path}: ${WORDS[installed]}; ${active ? "it runs" : "it does not run"}\n${shown.detail}\n`,
    );
    return active ? 0 : NOT_RUNNING_EXIT;
  },
};

const WORDS = {
  absent: "not installed",
  same: "installed as this version writes it",
  differs: "installed, but not as this version writes it (cairn service install mends it)",
} as const;

async function isActive(service: Service): Promise<boolean> {
  const { code, out } = await runManager(service.state);
  return code === 0 && isRunning(service, out);
}

/** What the manager's own words mean. */
export function isRunning(service: Pick<Service, "kind">, words: string): boolean {
  return service.kind === "systemd" ? /^ActiveState=active$/m.test(words) : /^\s*state = running$/m.test(words);
}

function serviceOf(invocation: Invocation): Service {
  return serviceFor({
    user: invocation.options["user"] === true,
    dataDir: textOption(invocation, "data"),
    configFile: textOption(invocation, "config"),
    env: invocation.env,
  });
}
