// A folder on a disk that can lose its power (native/powerdisk, over FUSE, so this needs root): then it has what was
// synced, and of the rest nothing or any part. The process that writes to it is killed at the same moment.

import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { ensureNative } from "../../scripts/native.ts";
import { host } from "../../scripts/targets.ts";
import { LineSplitter } from "../../src/tailnet/lines.ts";
import { within } from "./eventually.ts";

const MAX_LINE_BYTES = 65_536;
const REPLY_MS = 10_000;

const reply = z.object({
  lost: z.object({ names: z.number(), files: z.number(), pages: z.number() }).optional(),
  error: z.string().optional(),
});
type Reply = z.infer<typeof reply>;
/** How much was not synced when the power went: changes of names, pages, and files with such pages. */
export type Lost = NonNullable<Reply["lost"]>;

/** Reports whether such a disk can be mounted here. */
export function canLosePower(): boolean {
  return process.getuid?.() === 0 && statSync("/dev/fuse", { throwIfNoEntry: false }) !== undefined;
}

export class PowerDisk implements AsyncDisposable {
  readonly #folder: string;
  readonly #child: ReturnType<typeof spawnDisk>;
  readonly #waiting: PromiseWithResolvers<Reply>[] = [];
  readonly #ended: Promise<void>;

  private constructor(folder: string) {
    if (host === undefined) throw new Error("this machine is none that Cairn is built for");
    this.#folder = folder;
    this.#child = spawnDisk([ensureNative(host, "powerdisk"), folder]);
    this.#ended = this.#read();
  }

  /** Puts a folder and what is in it, as if synced, on a disk of its own. No process may use the folder. */
  static async under(folder: string): Promise<PowerDisk> {
    const copy = mkdtempSync(join(tmpdir(), "cairn-disk-"));
    run(["cp", "-a", `${folder}/.`, copy]);
    const disk = new PowerDisk(folder);
    try {
      await disk.#next();
      run(["cp", "-a", `${copy}/.`, folder]);
      await disk.#ask({ do: "sync" });
      return disk;
    } catch (error) {
      await disk[Symbol.asyncDispose]();
      throw error;
    } finally {
      rmSync(copy, { recursive: true });
    }
  }

  /**
   * Takes the power away, kills the process, and brings the disk back. With a seed the disk was writing: any part of
   * what was not synced is there.
   */
  async cut(pid: number, seed?: number): Promise<Lost> {
    const { lost } = await this.#ask({ do: "cut", pid, seed });
    if (lost === undefined) throw new Error("the disk did not count what was lost");
    return lost;
  }

  /** Removes the disk and leaves the data in the folder. No process may use it. */
  async remove(): Promise<void> {
    const copy = mkdtempSync(join(tmpdir(), "cairn-disk-"));
    run(["cp", "-a", `${this.#folder}/.`, copy]);
    await this[Symbol.asyncDispose]();
    run(["cp", "-a", `${copy}/.`, this.#folder]);
    rmSync(copy, { recursive: true });
  }

  /** Removes the disk and its data, whatever still uses it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end();
    await within("the end of the disk", this.#ended, REPLY_MS).catch(() => this.#child.kill("SIGKILL"));
    // A process that was killed leaves a dead mount.
    Bun.spawnSync({ cmd: ["umount", "-l", this.#folder], stderr: "ignore" });
  }

  async #ask(command: { do: "sync" } | { do: "cut"; pid: number; seed: number | undefined }): Promise<Reply> {
    this.#child.stdin.write(`${JSON.stringify(command)}\n`);
    this.#child.stdin.flush();
    return this.#next();
  }

  async #next(): Promise<Reply> {
    const next = Promise.withResolvers<Reply>();
    this.#waiting.push(next);
    const found = await within(`the disk at ${this.#folder}`, next.promise, REPLY_MS);
    if (found.error !== undefined) throw new Error(`the disk at ${this.#folder}: ${found.error}`);
    return found;
  }

  async #read(): Promise<void> {
    const lines = new LineSplitter(MAX_LINE_BYTES);
    for await (const chunk of this.#child.stdout)
      for (const line of lines.push(chunk))
        this.#waiting.shift()?.resolve(reply.parse(JSON.parse(Buffer.from(line).toString("utf8"))));
    await this.#child.exited;
    for (const each of this.#waiting) each.reject(new Error(`the disk ended with ${this.#child.exitCode}`));
  }
}

function spawnDisk(cmd: string[]) {
  // A test runner that gives up kills its children. The disk is a grandchild: it ends with its stdin, and unmounts.
  const wrap = ["sh", "-c", '"$@"; exit $?', "sh"];
  return Bun.spawn({ cmd: [...wrap, ...cmd], stdin: "pipe", stdout: "pipe", stderr: "inherit" });
}

function run(cmd: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync({ cmd });
  if (exitCode !== 0) throw new Error(`${cmd.join(" ")}: ${stderr.toString().trim()}`);
}
