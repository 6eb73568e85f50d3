// Extracts the native file of this executable to where the system can run it: `<folder>/<sha256><suffix>`, mode 0700.
// Verifies the hash at every start; writes a temporary file and renames it. The caller loads or spawns the file.

import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { chmod, type FileHandle, lstat, mkdir, open, readdir, rename, rm, unlink } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { sha256Hex } from "../lib/sha256.ts";
import type { Artifact } from "./embedded.ts";
import { NotExecutable } from "./ffi.ts";
import type { TailnetLog } from "./tailnet.ts";

/** How long files of other versions stay, in ms, so that going back to one is quick. */
const KEEP_OTHERS_MS = 7 * 24 * 3600 * 1000;
const OURS = /^[.]?[0-9a-f]{64}[.]/;

/**
 * Extracts the artifact into the first folder where `use` can run it. Skips folders that cannot be written or are
 * mounted noexec. If none is left: Fault `library_failed` with each folder and its reason.
 */
export async function withExtracted<T>(
  artifact: Artifact,
  folders: readonly string[],
  use: (path: string) => T,
  log: TailnetLog,
): Promise<T> {
  const reasons: string[] = [];
  for (const folder of folders) {
    try {
      return use(await extract(artifact, folder, log));
    } catch (error) {
      if (error instanceof Fault) throw error;
      const reason = error instanceof NotExecutable ? "nothing may be executed there (noexec?)" : reasonOf(error);
      reasons.push(`${folder}: ${reason}`);
      log("warning", `cannot use ${folder} for the tailnet ${artifact.engine}: ${reasonOf(error)}`);
    }
  }
  throw new Fault(
    "library_failed",
    `the tailnet ${artifact.engine} can run from none of these folders: ${reasons.join("; ")}`,
    {
      hint:
        "Give --data, or XDG_RUNTIME_DIR, a folder of your own on a file system that is not mounted noexec and has " +
        "30 MB free.",
    },
  );
}

/**
 * Makes sure that the folder holds exactly this artifact, and returns its path. Replaces anything else in its place.
 */
export async function extract(artifact: Artifact, folder: string, log: TailnetLog): Promise<string> {
  await privateFolder(folder);
  const path = join(folder, `${artifact.sha256}${artifact.suffix}`);
  const wrong = await differs(path, artifact.sha256);
  if (wrong !== undefined) {
    if (wrong !== "missing") log("warning", `${path} is replaced: ${wrong}`);
    await write(artifact, folder, path);
  }
  await removeOthers(folder, artifact.sha256).catch((error: unknown) => {
    log("debug", `old native files stay in ${folder}: ${reasonOf(error)}`);
  });
  return path;
}

async function privateFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const found = await lstat(folder);
  if (!found.isDirectory()) throw new Error("it is a symlink or a file, not a folder");
  if (found.uid !== process.getuid?.())
    throw new Error(`it belongs to user ${found.uid}, not to user ${process.getuid?.()}`);
  if ((found.mode & 0o777) !== 0o700) await chmod(folder, 0o700);
}

/** Returns undefined if the file is the artifact, with our owner and mode; otherwise what is wrong with it. */
async function differs(path: string, sha256: string): Promise<string | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT") return "missing";
    return code === "ELOOP" ? "it is a symlink" : reasonOf(error);
  }
  try {
    const found = await file.stat();
    if (!found.isFile()) return "it is no regular file";
    if (found.uid !== process.getuid?.()) return `it belongs to user ${found.uid}`;
    // Somebody who could write it may still have it open, whatever its mode becomes: only a new file is safe.
    if ((found.mode & 0o022) !== 0) return `others may write it (mode ${(found.mode & 0o777).toString(8)})`;
    if (sha256Hex(await file.readFile()) !== sha256) return "its content is not what its name says";
    if ((found.mode & 0o777) !== 0o700) await file.chmod(0o700);
    return undefined;
  } finally {
    await file.close();
  }
}

async function write(artifact: Artifact, folder: string, path: string): Promise<void> {
  const bytes = await Bun.file(artifact.path).bytes();
  const sha256 = sha256Hex(bytes);
  if (sha256 !== artifact.sha256) {
    throw new Fault(
      "library_failed",
      `the tailnet ${artifact.engine} inside this executable is damaged (sha256 ${sha256.slice(0, 12)})`,
      {
        hint: "Replace the executable by a fresh copy.",
      },
    );
  }
  const temporary = join(folder, `.${artifact.sha256}.${process.pid}.${randomBytes(6).toString("hex")}.tmp`);
  try {
    const file = await open(temporary, "wx", 0o700);
    try {
      await file.writeFile(bytes);
      await file.chmod(0o700);
      await file.sync();
    } finally {
      await file.close();
    }
    // A rename cannot replace a folder, and a folder of that name is never ours.
    if ((await lstat(path).catch(() => undefined))?.isDirectory()) await rm(path, { recursive: true });
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
}

async function removeOthers(folder: string, keep: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!OURS.test(name) || name.startsWith(keep)) continue;
    const path = join(folder, name);
    const found = await lstat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > KEEP_OTHERS_MS) await unlink(path).catch(() => {});
  }
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
