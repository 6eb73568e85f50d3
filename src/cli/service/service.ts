// cairn service install|uninstall|status: runs a node under systemd or launchd. Installing twice changes nothing.

import { existsSync, lchownSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { SYSTEM_DATA } from "../../config/paths.ts";
import { findAccount } from "../../lib/accounts.ts";
import { Fault } from "../../lib/fault.ts";
import { fileReason } from "../../lib/reason-of.ts";
import { type Command, type Invocation, isSet, type Option, textOption } from "../command.ts";
import { NEGATIVE_EXIT } from "../exit.ts";
import { say, showResult, writeData } from "../output.ts";
import { isUnused, lookFirst } from "./look.ts";
import { installedState, runManager, runOrFail, type Service, serviceFor } from "./manager.ts";
import { orTakeBack, restart } from "./start.ts";
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
    process.umask(0o022);
    const dataDir = pathOption(invocation, "data");
    lookFirst(service, dataDir);
    const before = installedState(service);
    const start = invocation.options["start"] !== false;
    const active = before !== "absent" && (await isActive(service));
    const text = before === "absent" ? undefined : readFileSync(service.path, "utf8");
    await orTakeBack(service, { text, active }, async () => {
      if (service.account !== undefined) await prepareAccount(service.account, dataDir);
      if (before !== "same") await writeService(service);
      for (const words of service.enable) await runOrFail(words);
      if (start && (before !== "same" || !active)) await restart(service);
    });
    const what = {
      same: "was already installed, unchanged",
      differs: "was updated",
      absent: "is installed",
    };
    await writeData(`${service.path} ${what[before]}${start ? "" : "; not started"}\n`);
    return 0;
  },
};

async function writeService(service: Service): Promise<void> {
  try {
    mkdirSync(dirname(service.path), { recursive: true });
    writeFileSync(service.path, service.text, { mode: 0o644 });
  } catch (cause) {
    throw new Fault("forbidden", `Cannot write ${service.path}: ${fileReason(cause)}`, {
      hint: "Run it with sudo, or install your own with --user.",
      cause,
    });
  }
  for (const words of service.reload) await runOrFail(words);
}

/** Creates the account of the service, since a node needs no root rights, and a data folder that --data names. */
async function prepareAccount(name: string, dataDir: string | undefined): Promise<void> {
  if (findAccount(name) === undefined) await createAccount(name);
  const account = findAccount(name);
  if (account === undefined || dataDir === undefined) return;
  // Parents are open to the account; the folder itself is its own.
  mkdirSync(dirname(dataDir), { recursive: true, mode: 0o755 });
  if (!existsSync(dataDir)) mkdirSync(dataDir, { mode: 0o700 });
  if (statSync(dataDir).uid !== account.uid && isUnused(dataDir))
    for (const path of [dataDir, ...readdirSync(dataDir).map((entry) => join(dataDir, entry))])
      lchownSync(path, account.uid, account.gids[0] ?? account.uid);
}

async function createAccount(account: string): Promise<void> {
  const words = [
    "useradd",
    "--system",
    "--home-dir",
    SYSTEM_DATA,
    "--no-create-home",
    "--shell",
    "/usr/sbin/nologin",
    account,
  ];
  await runOrFail(words);
  say(`created the account ${account}`);
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
      throw new Fault("forbidden", `Cannot remove ${service.path}: ${fileReason(cause)}`, {
        hint: "Run it with sudo.",
      });
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
    dataDir: pathOption(invocation, "data"),
    configFile: pathOption(invocation, "config"),
    env: invocation.env,
  });
}

/** Returns a path absolutely: the service starts in another folder. */
function pathOption(invocation: Invocation, name: string): string | undefined {
  const given = textOption(invocation, name);
  return given === undefined ? undefined : resolve(given);
}
