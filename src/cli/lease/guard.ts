// cairn guard install|check: a hook of git that refuses a commit which touches what another one has leased. It is
// advice for people: `git commit --no-verify` passes it.

import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { authorText } from "../../lib/author-text.ts";
import { childEnvironment } from "../../lib/child-environment.ts";
import { Fault } from "../../lib/fault.ts";
import { idSyntaxProblem } from "../../lib/id-syntax.ts";
import { isObject } from "../../lib/json-object.ts";
import { shellQuoted } from "../../lib/shell-quoted.ts";
import { askNode } from "../client.ts";
import { type Command, given, type Invocation, textOption } from "../command.ts";
import { objectsOf, say } from "../output.ts";
import { ownCommand } from "../own-command.ts";

/** The setting of a repository under which its leases begin. */
const PREFIX_SETTING = "cairn.leases";
const MARK = "# Written by cairn guard install";
/** Leases on one page, and paths that a refusal names. */
const PAGE = 500;
const MAX_NAMED = 10;
const GIT_MS = 30_000;
const WITHOUT_GUARD = "To commit without the guard: git commit --no-verify";

/** `cairn guard install`. */
export const guardInstall: Command = {
  words: ["guard", "install"],
  summary: "let git refuse commits that touch paths leased by another one",
  more: `Example, inside a repository:
  cairn guard install team-a/app
Then the lease team-a/app/src/main.ts is that of src/main.ts, and team-a/app/src that of all below src. The hook finds your
own leases by your caller and agent, or by their fences in CAIRN_FENCE. An existing hook is never overwritten.`,
  args: [{ name: "[PREFIX]", help: "where the names of its leases begin; default: what was given before" }],
  asksNode: true,
  async run(invocation) {
    const top = await git(["rev-parse", "--show-toplevel"]);
    const before = await settingOf();
    const prefix = (invocation.args[0] ?? before)?.replace(/\/+$/, "").normalize("NFC");
    const problem = prefix === undefined ? "is missing" : prefixProblem(prefix);
    if (prefix === undefined || problem !== undefined) {
      throw new Fault("invalid_input", `The prefix of the leases of ${top} ${problem}`, {
        hint: "Give a space and a name: cairn guard install team-a/app",
      });
    }
    const hooks = resolve(await git(["rev-parse", "--git-path", "hooks"]));
    const hook = join(hooks, "pre-commit");
    const check = hookCommand(invocation);
    const present = textOf(hook);
    if (present !== undefined && !present.includes(MARK)) throw hookExists(hook, check);
    const common = resolve(await git(["rev-parse", "--git-common-dir"]));
    if (relative(common, hooks).startsWith("..")) throw foreignHooks(hooks, check);
    mkdirSync(dirname(hook), { recursive: true });
    writeFileSync(hook, `#!/bin/sh\n${MARK}\nexec ${check}\n`);
    chmodSync(hook, 0o755);
    await git(["config", "--local", PREFIX_SETTING, prefix]);
    say(`${hook}: commits are refused where they touch what another one has leased under ${prefix}/`);
    if (before !== undefined && before !== prefix) {
      say(`This replaces the prefix ${before}. To return to it: cairn guard install ${shellQuoted(before)}`);
    }
    return 0;
  },
};

/** `cairn guard check`. */
export const guardCheck: Command = {
  words: ["guard", "check"],
  summary: "refuse what is staged for a commit where it touches leases of others (the hook runs it)",
  asksNode: true,
  async run(invocation) {
    const prefix = await settingOf();
    if (prefix === undefined) {
      throw new Fault("config_invalid", `This repository has no setting ${PREFIX_SETTING}`, {
        hint: "Run cairn guard install PREFIX in it, such as cairn guard install team-a/app",
      });
    }
    const problem = prefixProblem(prefix);
    if (problem !== undefined) {
      throw new Fault("config_invalid", `The prefix of this repository's leases ${problem}`, {
        hint: `Give another one: cairn guard install team-a/app. ${WITHOUT_GUARD}`,
      });
    }
    const paths = await stagedPaths();
    if (paths.length === 0) return 0;
    const foreign = await foreignLeases(invocation, prefix).catch((cause: unknown) => {
      throw cause instanceof Fault ? unseen(prefix, cause) : cause;
    });
    const found = paths.flatMap((path) => {
      const lease = namesOver(prefix, path).find((name) => foreign.has(name));
      return lease === undefined ? [] : [`${path}: ${foreign.get(lease)}`];
    });
    if (found.length > 0) throw leasedByOthers(found);
    return 0;
  },
};

/** Returns what is wrong with a prefix, for behind the word "prefix"; undefined for a valid one. */
function prefixProblem(prefix: string): string | undefined {
  // With a segment behind it: the first part of a prefix is a space.
  const problem = idSyntaxProblem(`${prefix}/x`);
  return problem === undefined ? undefined : `cannot be ${JSON.stringify(prefix)}: ${problem}`;
}

/** Returns the names of the leases that are about a path: its own, and those of the folders that it is in. */
function namesOver(prefix: string, path: string): string[] {
  const names = [prefix];
  for (const segment of path.normalize("NFC").split("/")) names.push(`${names.at(-1)}/${segment}`);
  return names;
}

/** Returns the leases below a prefix that others hold, by name, each in words. Faults: those of the node. */
async function foreignLeases(invocation: Invocation, prefix: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const { env } = invocation;
  // A list leaves out what the caller may not read; a question about one name is refused.
  const name = prefix.includes("/") ? prefix : `${prefix}/x`;
  await askNode(invocation, "lease_wait", { name, timeout_seconds: 0 });
  const fences = new Set([env["CAIRN_FENCE"], ...(env["CAIRN_FENCES"] ?? "").split("\n")]);
  const own = new Set((await leasesOf(invocation, prefix, true)).map(({ fence }) => fence));
  for (const { name: leased, fence, held_by: by, for: what, since } of await leasesOf(invocation, prefix, false)) {
    if (own.has(fence) || fences.has(String(fence))) continue;
    const { caller, agent } = isObject(by) ? (by as Record<string, unknown>) : {};
    const holder = authorText({ author: String(caller), agent: agent === undefined ? "" : String(agent) });
    found.set(String(leased), `${leased} is leased by ${holder}${what === "" ? "" : ` for "${what}"`} since ${since}`);
  }
  return found;
}

/** Returns all leases whose names begin with a prefix. */
async function leasesOf(invocation: Invocation, prefix: string, own: boolean): Promise<Record<string, unknown>[]> {
  const leases: Record<string, unknown>[] = [];
  let cursor: unknown;
  do {
    const { body } = await askNode(invocation, "lease_list", given({ prefix, own, limit: PAGE, cursor }));
    leases.push(...objectsOf(body["leases"]));
    cursor = body["cursor"];
  } while (cursor !== undefined);
  return leases;
}

/** Returns the paths that a commit would change, relative to the top; of a rename both. */
async function stagedPaths(): Promise<string[]> {
  const words = ["diff", "--cached", "--name-only", "-z", "--no-renames", "--no-relative", "--no-ext-diff"];
  return (await git(words)).split("\0").filter((path) => path !== "");
}

/** Returns the prefix of this repository, if it has one. */
async function settingOf(): Promise<string | undefined> {
  const { code, out } = await runGit(["config", "--get", PREFIX_SETTING]);
  return code === 0 && out !== "" ? out : undefined;
}

/** Runs git and returns its output. Faults: `not_found` without git, and outside of a repository. */
async function git(words: readonly string[]): Promise<string> {
  const { code, out, err } = await runGit(words);
  if (code === 0) return out;
  if (err.includes("not a git repository")) {
    throw new Fault("not_found", `${process.cwd()} is in no git repository`, { hint: "Run it inside of one." });
  }
  throw new Fault("not_found", `git ${words.join(" ")} ended with ${code}: ${err}`, {
    hint: "See whether git works in this folder: git status",
  });
}

async function runGit(words: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  if (Bun.which("git") === null)
    throw new Fault("not_found", "There is no git on this machine", { hint: "Install it, or add it to PATH." });
  const names = Object.keys(process.env).filter((name) => name.startsWith("GIT_"));
  const child = Bun.spawn({
    cmd: ["git", ...words],
    // In a hook git says by variables which repository and which index it is about.
    env: { ...childEnvironment(process.env, ["PATH", "HOME", "XDG_CONFIG_HOME", ...names]), LC_ALL: "C" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: GIT_MS,
  });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, out: out.replace(/\n$/, ""), err: err.trim() };
}

/** Returns the command of the hook, which asks the same node as the same agent. */
function hookCommand(invocation: Invocation): string {
  const asked = ["data", "url", "agent"].flatMap((name) => {
    const value = textOption(invocation, name);
    if (value === undefined) return [];
    // An agent is a name, or the path of a file with its handle.
    const isPath = name === "data" || (name === "agent" && value.includes("/"));
    return [`--${name}`, isPath ? resolve(value) : value];
  });
  return [...ownCommand(), "guard", "check", ...asked].map(shellQuoted).join(" ");
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function hookExists(hook: string, check: string): Fault {
  return new Fault("data_exists", `${hook} is there already, and is not of Cairn`, {
    hint: `Add this line to it: ${check} || exit 1`,
  });
}

function foreignHooks(hooks: string, check: string): Fault {
  return new Fault("data_exists", `The hooks of this repository are in ${hooks}, outside of its git folder`, {
    hint: `Add this line to the pre-commit hook there: ${check} || exit 1`,
  });
}

/** The commit is refused where the leases cannot be seen: what others hold is not known. */
function unseen(prefix: string, cause: Fault): Fault {
  const hint = cause.hint === undefined ? WITHOUT_GUARD : `${cause.hint} ${WITHOUT_GUARD}`;
  return cause.retold(`The guard cannot see the leases under ${prefix}/, so it refuses the commit. ${cause.message}`, {
    hint,
  });
}

function leasedByOthers(found: readonly string[]): Fault {
  const more = found.length > MAX_NAMED ? `\n  and ${found.length - MAX_NAMED} more` : "";
  const named = found.slice(0, MAX_NAMED).map((line) => `\n  ${line}`);
  return new Fault("lease_held", `The commit touches what others have leased:${named.join("")}${more}`, {
    hint: "Wait for them (cairn lease wait NAME), or talk to the holder. Your own by another agent: name its fence in CAIRN_FENCE.",
  });
}
