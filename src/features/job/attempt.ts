// One attempt at a job on this node: its program under a guard with the deadline of the claim, its output, and what
// came of it.

import { closeSync, openSync, writeSync } from "node:fs";
import type { Environment } from "../../config/environment.ts";
import { Fault } from "../../lib/fault.ts";
import { printableLine } from "../../lib/printable.ts";
import { fileReason, reasonOf } from "../../lib/reason-of.ts";
import { Sha256 } from "../../lib/sha256.ts";
import { redactCut, redactText } from "../../observe/redact.ts";
import {
  GuardedProcess,
  leaseFromNow,
  OutputRing,
  type ProcessEnd,
  type ReadSecret,
  shownTail,
  specOf,
} from "../process/index.ts";
import type { ActionShape } from "./action.ts";
import { AttemptFolder } from "./attempt-folder.ts";
import { MAX_OUTPUT } from "./internal.ts";
import type { Ending } from "./queue.ts";
import { judgeInput, wordsOf } from "./words.ts";

/** Output that is kept with the job; of longer ones the end, and its beginning up to `output_bytes` as a blob. */
const ROW_BYTES = 64 * 1024;
const END_BYTES = 8 * 1024;
const MAX_ERROR = 300;

/** What it runs. */
export interface AttemptSpec {
  id: string;
  fence: string;
  attempt: number;
  space: string;
  action: string;
  /** Undefined: this node does not run it any more, so the attempt fails at once. */
  shape: ActionShape | undefined;
  input: Readonly<Record<string, unknown>>;
  checkpoint: string;
  timeoutMs: number;
  keepMs: number;
}

/** What it needs of its node. */
export interface AttemptParts {
  /** The command that runs this executable. */
  command: readonly string[];
  env: Environment;
  /** Where the folders of attempts are. */
  folder: string;
  readSecret: ReadSecret;
  /** Stores a file as a blob of a space for so many hours. */
  storeBlob: (blob: { path: string; space: string; sha256: string; bytes: number; hours: number }) => Promise<void>;
}

/** One attempt. */
export class Attempt {
  readonly spec: AttemptSpec;
  /** What came of it; undefined while it runs. */
  ending: Ending | undefined;
  /** Whether its program has started. */
  running = false;
  /** Resolves when `ending` is there. */
  readonly ended: Promise<void>;
  readonly #parts: AttemptParts;
  readonly #ring = new OutputRing(ROW_BYTES);
  readonly #hash = new Sha256();
  #folder: AttemptFolder | undefined;
  #process: GuardedProcess | undefined;
  #file: number | undefined;
  #kept = 0;
  /** Why its whole output cannot be kept; "": it can. */
  #unkept = "";
  #stopped = "";

  /** Begins it. `leaseMs`: until when it may run without a renewal. */
  constructor(spec: AttemptSpec, parts: AttemptParts, leaseMs: number) {
    this.spec = spec;
    this.#parts = parts;
    this.ended = this.#run(leaseMs).then((ending) => {
      this.ending = ending;
    });
  }

  /** Moves its deadline: from now it may run for so long. */
  renew(leaseMs: number): void {
    this.#process?.renew(leaseMs);
  }

  /** Ends it, for a reason that is said. */
  stop(reason: string): void {
    if (this.#stopped !== "") return;
    this.#stopped = reason;
    void this.#process?.stop((this.spec.shape?.grace ?? 0) * 1000).catch(() => {});
  }

  /** Returns what its program says of itself, and what the next attempt needs. */
  report(): { progress: string; checkpoint: string | null } {
    const progress = this.#folder?.read("progress") ?? "";
    const checkpoint = this.#folder?.read("checkpoint");
    return {
      progress: printableLine(redactCut(progress).split("\n", 1)[0] ?? "").slice(0, MAX_ERROR),
      checkpoint: checkpoint === undefined ? null : keptText(checkpoint),
    };
  }

  /** Returns the end of what it has written, and how many bytes that was in all. */
  tail(): { text: string; bytes: number } {
    return { text: shownTail(this.#ring), bytes: this.#ring.totalBytes };
  }

  /** Removes what it has on the disk. */
  remove(): void {
    this.#folder?.remove();
  }

  async #run(leaseMs: number): Promise<Ending> {
    const { shape } = this.spec;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      if (shape === undefined)
        throw new Fault(
          "not_found",
          `this node does not run ${this.spec.action} any more: its declaration has changed`,
        );
      const child = this.#start(shape, leaseMs);
      timer = setTimeout(
        () => this.stop(`it ran for longer than ${this.spec.timeoutMs / 1000} s`),
        this.spec.timeoutMs,
      );
      await child.started;
      this.running = true;
      const end = await child.ended;
      return await this.#endingOf(shape, end);
    } catch (error) {
      const outcome = error instanceof Fault && error.code === "invalid_input" ? "final" : "failed";
      return { outcome, error: textOf(reasonOf(error)), result: "", output: "", output_bytes: 0, output_sha256: "" };
    } finally {
      clearTimeout(timer);
      if (this.#file !== undefined) closeSync(this.#file);
      this.#file = undefined;
    }
  }

  #start(shape: ActionShape, leaseMs: number): GuardedProcess {
    const leftMs = leaseFromNow(leaseMs);
    const { id, fence, attempt, action, input, checkpoint } = this.spec;
    const { command, folder } = this.#parts;
    const { argv = [], user, grace } = shape;
    const values = judgeInput(action, shape, input);
    const own = new AttemptFolder(folder, crypto.randomUUID(), { input: JSON.stringify(values), checkpoint });
    this.#folder = own;
    this.#file = openSync(own.outputPath, "wx", 0o600);
    const given = {
      ...{ CAIRN_JOB: id, CAIRN_FENCE: fence, CAIRN_ATTEMPT: String(attempt) },
      // Another account cannot reach it, as it is in the data folder.
      ...(user === undefined ? { CAIRN_JOB_FOLDER: own.path } : {}),
    };
    const sink = (chunk: Uint8Array) => this.#take(chunk);
    const start = { argv: wordsOf(argv, values), cwd: shape.folder ?? own.path, values: given };
    const spec = specOf(shape, start, this.#parts);
    this.#process = GuardedProcess.start(spec, {
      ...{ command, leaseMs: leftMs(), graceMs: Math.min(grace * 1000, leaseMs / 2), onNodeGone: "end" },
      ...{ ringBytes: 1024, stdout: sink, stderr: sink },
    });
    if (this.#stopped !== "") void this.#process.stop(0).catch(() => {});
    return this.#process;
  }

  #take(chunk: Uint8Array): void {
    this.#ring.push(chunk);
    const part = chunk.subarray(0, Math.max(0, (this.spec.shape?.output_bytes ?? 0) - this.#kept));
    if (part.byteLength === 0 || this.#file === undefined || this.#unkept !== "") return;
    try {
      for (let at = 0; at < part.byteLength; ) at += writeSync(this.#file, part, at);
    } catch (error) {
      // The program goes on: else its next line would wait for a reader until its time is over.
      this.#unkept = fileReason(error);
      return;
    }
    this.#hash.update(part);
    this.#kept += part.byteLength;
  }

  async #endingOf(shape: ActionShape, end: ProcessEnd): Promise<Ending> {
    const succeeded = end.cause === "exited" && end.code === 0 && this.#stopped === "";
    const isFinal = end.code !== undefined && shape.exit_final.includes(end.code) && this.#stopped === "";
    const notes = succeeded ? [] : [this.#reasonOf(end)];
    const { text, bytes } = this.tail();
    const isLong = bytes > ROW_BYTES;
    let sha256 = "";
    // What a program prints of its secrets is removed from the end, and cannot be from all of it.
    if (isLong && shape.output_bytes > 0 && Object.keys(shape.secrets).length === 0) {
      sha256 = await this.#store().catch((error: unknown) => {
        notes.push(`its whole output is not kept: ${reasonOf(error)}`);
        return "";
      });
      if (sha256 !== "" && this.#kept < bytes)
        notes.push(`the first ${this.#kept} of ${bytes} bytes of its output are kept, and the end`);
    }
    const shown = isLong && sha256 !== "" ? text.slice(-END_BYTES) : text;
    return {
      outcome: succeeded ? "succeeded" : isFinal ? "final" : "failed",
      error: textOf(notes.join("; ")),
      result: keptText(this.#folder?.read("result") ?? ""),
      ...{ output: shown.slice(-ROW_BYTES), output_bytes: bytes, output_sha256: sha256 },
    };
  }

  #reasonOf({ cause, code, signal, outOfMemory }: ProcessEnd): string {
    if (this.#stopped !== "") return this.#stopped;
    if (outOfMemory) return "it used more memory than its action allows";
    if (cause !== "exited") return `it was ended: ${cause}`;
    const last = this.tail().text.trim().split("\n").at(-1) ?? "";
    const how = code === undefined ? `signal ${signal}` : `exit code ${code}`;
    return last === "" ? how : `${how}: ${last}`;
  }

  async #store(): Promise<string> {
    if (this.#unkept !== "") throw new Error(this.#unkept);
    const sha256 = this.#hash.hex();
    const { space, keepMs } = this.spec;
    const hours = Math.ceil(keepMs / 3_600_000) + 24;
    const path = this.#folder?.outputPath ?? "";
    await this.#parts.storeBlob({ path, space, sha256, bytes: this.#kept, hours });
    return sha256;
  }
}

/** Returns a text of the program, of which a bounded part was read, as it is kept. Secrets are shorter than what stands
 * for them. */
function keptText(text: string): string {
  return redactCut(text).slice(0, MAX_OUTPUT);
}

function textOf(text: string): string {
  return printableLine(redactText(text)).slice(0, MAX_ERROR);
}
