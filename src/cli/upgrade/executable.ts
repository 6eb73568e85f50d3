// The file of this executable: who owns it, a new one beside it, and the exchange of the two in one step. The earlier
// one stays as `<path>.previous`.

import { chmodSync, chownSync, copyFileSync, existsSync, linkSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { flush, renameDurably } from "../../lib/atomic-file.ts";
import { childEnvironment } from "../../lib/child-environment.ts";
import { Fault } from "../../lib/fault.ts";
import { fileReason } from "../../lib/reason-of.ts";
import { Sha256 } from "../../lib/sha256.ts";
import { ownCommand } from "../own-command.ts";
import { runManager } from "../service/manager.ts";

/** A new executable may take so long to say its version, in ms. */
const VERSION_MS = 20_000;

const versionShape = z.object({
  version: z.string().max(64),
  commit: z.string().max(64),
  /** The highest fleet level that it reads; builds before this field do not say it. */
  level: z.number().int().min(1).optional(),
});

/** What an executable says of itself. */
export type Version = z.output<typeof versionShape>;

/** A new executable that is checked and runs on this machine. */
export interface Staged extends Version {
  path: string;
}

/** Places that belong to a package manager, and how it is asked for a newer version. */
const MANAGED: readonly { part: string; hint: string }[] = [
  { part: "/Cellar/", hint: "Run: brew upgrade cairn" },
  { part: "/nix/store/", hint: "Build the system with a newer version." },
  { part: "/snap/", hint: "Run: snap refresh cairn" },
];
const OWNERS: readonly { ask: readonly string[]; hint: string }[] = [
  { ask: ["dpkg", "-S"], hint: "Install the newer .deb: apt install ./cairn_….deb" },
  { ask: ["rpm", "-qf"], hint: "Install the newer package with dnf or zypper." },
];

/** One executable file. */
export class Executable {
  readonly path: string;

  /** `path` has no symbolic links. */
  constructor(path: string) {
    this.path = path;
  }

  /** Returns the file of this process. Fault `invalid_input` where it runs from source. */
  static own(): Executable {
    const [path = "", ...more] = ownCommand();
    if (more.length === 0) return new Executable(path);
    throw new Fault("invalid_input", "cairn runs from source here, so there is no executable to replace", {
      hint: "Get the newer source in place of it.",
    });
  }

  get previousPath(): string {
    return `${this.path}.previous`;
  }

  /** Throws Fault `invalid_input` where a package manager owns the file, `forbidden` where it cannot be replaced. */
  async refuseOwned(): Promise<void> {
    const managed = MANAGED.find(({ part }) => this.path.includes(part));
    if (managed !== undefined) throw owned(this.path, "a package manager", managed.hint);
    for (const { ask, hint } of OWNERS) {
      const { code, out } = await runManager([...ask, this.path]);
      if (code === 0) throw owned(this.path, `the package ${out.split(/[:\s]/)[0]}`, hint);
    }
    const folder = dirname(this.path);
    try {
      rmSync(mkdtempSync(join(folder, ".cairn-upgrade-")), { recursive: true });
    } catch (cause) {
      throw new Fault("forbidden", `Cannot write to ${folder}: ${fileReason(cause)}`, {
        hint: "Run it as the owner of that folder, such as with sudo.",
        cause,
      });
    }
  }

  /** Reports whether the file is gone with the container that it is in. */
  static get isInContainer(): boolean {
    return existsSync("/.dockerenv") || existsSync("/run/.containerenv");
  }

  /** Returns its SHA-256. */
  async sha256(): Promise<string> {
    const hash = new Sha256();
    for await (const part of Bun.file(this.path).stream()) hash.update(part);
    return hash.hex();
  }

  /**
   * Writes a new executable beside this one and runs it for its version. Disposing of it removes what is left of it.
   * Fault `invalid_input` where it does not run here.
   */
  async stage(write: (path: string) => Promise<void>): Promise<Staged & AsyncDisposable> {
    const folder = mkdtempSync(join(dirname(this.path), ".cairn-upgrade-"));
    const remove = () => rmSync(folder, { recursive: true, force: true });
    try {
      const path = join(folder, "cairn");
      await write(path);
      const { uid, gid, mode } = statSync(this.path);
      chmodSync(path, mode & 0o777);
      if (process.getuid?.() === 0) chownSync(path, uid, gid);
      return { path, ...(await versionOf(path)), [Symbol.asyncDispose]: async () => remove() };
    } catch (error) {
      remove();
      throw error;
    }
  }

  /** Returns what the earlier one says of itself. Fault `not_found` where there is none. */
  previous(): Promise<Version> {
    if (existsSync(this.previousPath)) return versionOf(this.previousPath);
    throw new Fault("not_found", `There is no ${this.previousPath}: nothing was upgraded here`);
  }

  /** Puts a staged file in place. This one is the earlier one from now on. */
  put(staged: string): void {
    const spare = `${staged}.previous`;
    secondName(this.path, spare);
    renameDurably(spare, this.previousPath);
    renameDurably(staged, this.path);
  }

  /** Puts the earlier one back. This one is the earlier one from now on, so that the step can be undone too. */
  putBack(): void {
    const folder = mkdtempSync(join(dirname(this.path), ".cairn-upgrade-"));
    try {
      const staged = join(folder, "cairn");
      // It keeps its own name until another file has that one: a failure half way loses nothing.
      secondName(this.previousPath, staged);
      this.put(staged);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

/** Gives a file another name as well, or makes a copy where the file system has no hard links. */
function secondName(path: string, name: string): void {
  try {
    linkSync(path, name);
  } catch {
    copyFileSync(path, name);
    const { uid, gid, mode } = statSync(path);
    chmodSync(name, mode & 0o777);
    if (process.getuid?.() === 0) chownSync(name, uid, gid);
    flush(name);
  }
}

function owned(path: string, owner: string, hint: string): Fault {
  return new Fault("invalid_input", `${path} belongs to ${owner}, which would not know of another one`, { hint });
}

/** Runs an executable for its version. */
async function versionOf(path: string): Promise<Version> {
  const child = Bun.spawn({
    cmd: [path, "version", "--json"],
    env: childEnvironment(process.env, ["PATH", "HOME", "TMPDIR"]),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: VERSION_MS,
    killSignal: "SIGKILL",
  });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  const code = await child.exited;
  try {
    if (code === 0) return versionShape.parse(JSON.parse(out));
  } catch {
    // Said below.
  }
  const said = err.trim().split("\n")[0] ?? "";
  throw new Fault("invalid_input", `The new executable does not run on this machine: ${said || `code ${code}`}`, {
    hint: "Nothing was changed. See whether it is built for this system and processor.",
  });
}

/** Reports whether a version is older than another: by their numbers, and one with a suffix before the one without. */
export function isOlder(version: string, than: string): boolean {
  const [a, b] = [partsOf(version), partsOf(than)];
  for (let at = 0; at < 3; at += 1)
    if (a.numbers[at] !== b.numbers[at]) return (a.numbers[at] ?? 0) < (b.numbers[at] ?? 0);
  if (a.suffix === b.suffix) return false;
  return b.suffix === "" || (a.suffix !== "" && a.suffix < b.suffix);
}

function partsOf(version: string): { numbers: number[]; suffix: string } {
  const [, numbers = "", suffix = ""] = /^v?(\d+(?:\.\d+)*)(?:-(.*))?/.exec(version) ?? [];
  return { numbers: [0, 1, 2].map((at) => Number(numbers.split(".")[at] ?? 0)), suffix };
}
