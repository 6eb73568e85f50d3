// What is run, and how: words, folder, environment, user and bounds are checked here, before anything starts. A launch
// is plain data, so that a guard can be told of it.

import { accessSync, constants, existsSync, statSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { type Account, findAccount } from "../../lib/accounts.ts";
import { childEnvironment } from "../../lib/child-environment.ts";
import { Fault } from "../../lib/fault.ts";
import { makeCgroup, type ProcessLimits } from "./cgroup.ts";
import { MARK_VARIABLE } from "./process-tree.ts";

/** What is run. */
export interface ProcessSpec {
  /** The program and its arguments; no shell reads them. */
  argv: readonly string[];
  /** The whole environment; `environmentFor` makes one. */
  env: Readonly<Record<string, string>>;
  /** The working folder, absolute. */
  cwd: string;
  /** The name or uid of the account that it runs as; without one, that of this process. */
  user?: string | undefined;
  limits?: ProcessLimits | undefined;
}

/** How it is run. */
export interface Launch {
  /** For messages: `cmd` may begin with what changes the user. */
  program: string;
  cmd: string[];
  /** The user to change to where `cmd` does not do it. */
  user: { uid: number; gid: number } | undefined;
  cwd: string;
  env: Record<string, string>;
  cgroup: string | undefined;
  mark: string;
}

/** What holds of that which was asked for, and what does not. */
export interface ProcessBounds {
  /** By the name of a limit, why it does not hold; empty when all hold. */
  unset: Partial<Record<keyof ProcessLimits, string>>;
  /** How its processes are found: `cgroup` finds all, `mark` all that keep their environment, `group` no daemons. */
  found: "cgroup" | "mark" | "group";
  /** Whether the kernel kills the child when the process that started it ends. */
  diesWithStarter: boolean;
}

/** Longest arguments together, in bytes: one argument may have 128 KiB on Linux. */
const MAX_ARGV_BYTES = 128 * 1024;
/** Variables that every child gets where they are set. */
const COMMON = ["PATH", "HOME", "LANG", "TZ", "TMPDIR"];
/** Keys of the tailnet, and what steers a runtime or loads code into it (security.md 20). */
const NEVER = /^(?:TS_|TAILSCALE_|BUN_|LD_|DYLD_)|^NODE_OPTIONS$/;
/** Where programs are looked for when the environment has no PATH. */
const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin";

/**
 * Returns the environment of a child: a few common variables and the named ones of `source`, and `values`. Throws Fault
 * `invalid_input` for a variable that no child gets.
 */
export function environmentFor(
  source: Readonly<Record<string, string | undefined>>,
  { names = [], values = {}, user }: { names?: readonly string[]; values?: Record<string, string>; user?: string } = {},
): Record<string, string> {
  const refused = [...names, ...Object.keys(values)].find((name) => NEVER.test(name) || !/^[A-Za-z_]\w*$/.test(name));
  if (refused !== undefined) {
    throw new Fault("invalid_input", `A child process cannot get the variable ${JSON.stringify(refused)}`, {
      hint: "Leave it out. No child gets TS_*, TAILSCALE_*, BUN_*, LD_*, DYLD_* or NODE_OPTIONS.",
    });
  }
  const account = user === undefined ? undefined : accountOf(user);
  const own = account === undefined ? {} : { HOME: account.home, USER: account.name, LOGNAME: account.name };
  return { ...childEnvironment(source, [...COMMON, ...names]), ...own, ...values };
}

/**
 * Makes what is needed to run it. Throws Fault `invalid_input` for words and folders that cannot be, `not_found` for a
 * program, folder or account that is not there, and `config_invalid` where this process may not run it as that user.
 */
export function prepareLaunch(spec: ProcessSpec): { launch: Launch; bounds: ProcessBounds } {
  const { cwd, limits = {} } = spec;
  checkWords(spec);
  const program = programOf(spec);
  const user = spec.user === undefined ? undefined : switchTo(spec.user);
  const setpriv = process.platform === "linux" ? findSetpriv() : undefined;
  const mark = crypto.randomUUID();
  const { folder, unset } = makeCgroup(limits, mark.slice(0, 8));
  const words = [program, ...spec.argv.slice(1)];
  return {
    launch: {
      program,
      cmd: setpriv === undefined ? words : [setpriv, "--pdeathsig", "KILL", ...userWords(user), "--", ...words],
      user: setpriv === undefined && user !== undefined ? { uid: user.uid, gid: groupOf(user) } : undefined,
      cwd,
      env: { ...spec.env, [MARK_VARIABLE]: mark },
      cgroup: folder,
      mark,
    },
    bounds: {
      unset,
      found: folder !== undefined ? "cgroup" : process.platform === "linux" ? "mark" : "group",
      diesWithStarter: setpriv !== undefined,
    },
  };
}

function checkWords({ argv, env, cwd }: ProcessSpec): void {
  const [program = ""] = argv;
  if (program === "") throw new Fault("invalid_input", "There is no program to run", { hint: "Give argv a word." });
  const bad = [...argv, ...Object.values(env), cwd].find((word) => word.includes("\0"));
  if (bad !== undefined) {
    throw new Fault("invalid_input", `${JSON.stringify(bad.slice(0, 100))} has a NUL character`, {
      hint: `Remove it from the words, environment or folder of ${program}.`,
    });
  }
  const bytes = argv.reduce((sum, word) => sum + Buffer.byteLength(word), 0);
  if (bytes > MAX_ARGV_BYTES) {
    throw new Fault("too_large", `The arguments of ${program} have ${bytes} bytes, ${MAX_ARGV_BYTES} are allowed`, {
      hint: "Give what is long in a file.",
    });
  }
  if (!isAbsolute(cwd) || !statSync(cwd, { throwIfNoEntry: false })?.isDirectory()) {
    throw new Fault("not_found", `The working folder ${JSON.stringify(cwd)} of ${program} is no folder`, {
      hint: "Give the absolute path of a folder that is there.",
    });
  }
}

/** Returns the path of the program. */
function programOf({ argv, env, cwd }: ProcessSpec): string {
  const [name = ""] = argv;
  const folders = (env["PATH"] ?? DEFAULT_PATH).split(":").filter(Boolean);
  const places = name.includes("/") ? [resolve(cwd, name)] : folders.map((folder) => resolve(cwd, join(folder, name)));
  const found = places.find(isProgram);
  if (found !== undefined) return found;
  const present = places.find((place) => existsSync(place));
  if (present === undefined) {
    throw new Fault("not_found", `There is no program ${JSON.stringify(name)} on this machine`, {
      hint: name.includes("/") ? `Looked at ${places[0]}.` : `Install it, or give its path. Looked in ${folders}.`,
    });
  }
  throw new Fault("invalid_input", `${present} cannot be executed`, {
    hint: statSync(present).isDirectory() ? "It is a folder: name a file in it." : `Allow it: chmod +x ${present}`,
  });
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function accountOf(user: string): Account {
  const account = findAccount(user);
  if (account !== undefined) return account;
  throw new Fault("not_found", `There is no account ${JSON.stringify(user)} on this machine`, {
    hint: `Make it, such as: useradd --system ${user}`,
  });
}

/** Returns the account to change to; undefined where this process has it already. */
function switchTo(user: string): Account | undefined {
  const account = accountOf(user);
  const own = process.getuid?.();
  if (account.uid === own) return undefined;
  if (own === 0) return account;
  throw new Fault("config_invalid", `This node runs as uid ${own} and cannot run a process as ${account.name}`, {
    hint: "Start the node as root, or declare no user.",
  });
}

function userWords(account: Account | undefined): string[] {
  if (account === undefined) return [];
  return ["--reuid", String(account.uid), "--regid", String(groupOf(account)), "--init-groups"];
}

function groupOf({ uid, gids: [gid = uid] }: Account): number {
  return gid;
}

let setprivPath: string | undefined | false;

/** Returns the path of a setpriv that can tie a child to its parent; that of BusyBox cannot. */
function findSetpriv(): string | undefined {
  if (setprivPath === undefined) {
    const path = ["/usr/bin/setpriv", "/bin/setpriv"].find(isProgram);
    const tried = path === undefined ? undefined : [path, "--pdeathsig", "KILL", "--", path, "--version"];
    const works = tried !== undefined && Bun.spawnSync({ cmd: tried, env: {}, timeout: 5000 }).exitCode === 0;
    setprivPath = works ? (path ?? false) : false;
  }
  return setprivPath === false ? undefined : setprivPath;
}
