// One start of a service on this member: its program under a guard with the deadline of the lease, when it is ready,
// whether it stays well, and how it ended.

import { join } from "node:path";
import type { Environment } from "../../config/environment.ts";
import { pause } from "../../lib/pause.ts";
import { printableLine } from "../../lib/printable.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { redactText } from "../../observe/redact.ts";
import {
  GuardedProcess,
  leaseFromNow,
  OutputRing,
  type ProcessEnd,
  type ProcessSpec,
  type ReadSecret,
  runProcess,
  shownTail,
  specOf,
} from "../process/index.ts";
import { problemBy } from "./check.ts";
import type { ServiceShape } from "./declared.ts";
import { lastLineOf } from "./last-line.ts";
import { MAX_REASON } from "./rows.ts";
import { unitWords } from "./unit.ts";

/** Output that is kept in memory. */
const RING_BYTES = 64 * 1024;
/** Between two checks until it is ready, in ms; doubled up to the longest. */
const READY_MS = { first: 100, longest: 1000 };

/** Time to end a unit, and between two tries, in ms. */
const END_UNIT_MS = 5000;

/** What it starts. */
export interface CopySpec {
  name: string;
  /** The start, such as `ops/~services/wiki@1-57`. */
  start: string;
  /** The fence of the start, such as `1-57`. */
  fence: string;
  /** Undefined: this member does not run it any more, so the start fails at once. */
  shape: ServiceShape | undefined;
}

/** What it needs of its node. */
export interface CopyParts {
  /** The command that runs this executable. */
  command: readonly string[];
  env: Environment;
  readSecret: ReadSecret;
  /** Returns the folder of an artifact, after it was fetched and unpacked. */
  artifact: (name: string, sha256: string, signal: AbortSignal) => Promise<string>;
}

/** What a start has come to. */
export type CopyState = "starting" | "ready" | "ended" | "failed";

/** One start. */
export class Copy {
  readonly spec: CopySpec;
  state: CopyState = "starting";
  reason = "";
  /** Why it is not ready yet; "": nothing is known, or it is. */
  waits = "";
  /** Resolves when nothing of it runs any more. */
  readonly ended: Promise<void>;
  readonly #parts: CopyParts;
  readonly #onNews: () => void;
  readonly #ring = new OutputRing(RING_BYTES);
  readonly #over = new AbortController();
  #process: GuardedProcess | undefined;
  /** How long it may still run: its artifact may take longer than one renewal. */
  #leftMs: () => number;
  /** The folder of its artifact; "": it has none. */
  #artifact = "";
  /** Resolves when what ends it has ended too. */
  #ending: Promise<void> | undefined;
  /** Why it is being ended; `failed`: it was not asked to. */
  #stopped: { reason: string; failed: boolean } | undefined;

  /** Begins it. `leaseMs`: until when it may run without a renewal. */
  constructor(spec: CopySpec, parts: CopyParts, leaseMs: number, onNews: () => void) {
    this.spec = spec;
    this.#parts = parts;
    this.#onNews = onNews;
    this.#leftMs = leaseFromNow(leaseMs);
    this.ended = this.#run().then(({ failed, reason }) => {
      this.#over.abort();
      this.state = failed ? "failed" : "ended";
      this.reason = textOf(reason);
      onNews();
    });
  }

  /** Moves its deadline: from now it may run for so long. */
  renew(leaseMs: number): void {
    this.#leftMs = leaseFromNow(leaseMs);
    this.#process?.renew(leaseMs);
  }

  /** Ends it because it is asked to. */
  stop(reason: string): void {
    this.#stop({ reason, failed: false });
  }

  /** Returns the end of what it has written, and how many bytes that was in all. */
  tail(): { text: string; bytes: number } {
    return { text: shownTail(this.#ring), bytes: this.#ring.totalBytes };
  }

  #stop(why: { reason: string; failed: boolean }): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = why;
    this.#over.abort();
    this.#ending = this.#endProcess();
  }

  /** Asks it to end by its own program, if it has one, then by signals. */
  async #endProcess(): Promise<void> {
    const { shape } = this.spec;
    const graceMs = (shape?.grace ?? 0) * 1000;
    const child = this.#process;
    if (child === undefined) return;
    const beganMs = performance.now();
    if (shape?.stop !== undefined) {
      const over = new AbortController();
      const asked = { timeoutMs: Math.max(1, graceMs), signal: over.signal, graceMs: 0 };
      const asking = runProcess(this.#specOf(shape, shape.stop), asked).catch(() => {});
      await Promise.race([asking, child.ended.catch(() => {})]);
      // It is a part of the copy: another one must not start beside it.
      over.abort();
      await asking;
    }
    const leftMs = Math.max(0, graceMs - (performance.now() - beganMs));
    await child.stop(leftMs).catch(() => {});
  }

  #specOf(shape: ServiceShape, argv: readonly string[]): ProcessSpec {
    const { name, start, fence } = this.spec;
    const runtime = this.#parts.env["XDG_RUNTIME_DIR"] ?? "";
    const values = {
      ...{ CAIRN_SERVICE: name, CAIRN_FENCE: fence, CAIRN_LEASE: start },
      ...(shape.unit === undefined ? {} : { XDG_RUNTIME_DIR: runtime }),
    };
    const cwd = this.#artifact === "" ? shape.folder : join(this.#artifact, shape.folder);
    return specOf(shape, { argv, cwd, values }, this.#parts);
  }

  async #run(): Promise<{ failed: boolean; reason: string }> {
    const { shape } = this.spec;
    try {
      if (shape === undefined) return { failed: true, reason: "this member does not run it any more" };
      const { artifact } = shape;
      if (artifact !== undefined)
        this.#artifact = await this.#parts.artifact(this.spec.name, artifact, this.#over.signal);
      if (this.#stopped !== undefined) return this.#stopped;
      const sink = (chunk: Uint8Array) => this.#ring.push(chunk);
      // At the deadline of the lease; when it is asked to end it has its whole grace.
      const graceOf = (leaseMs: number) => Math.min(shape.grace * 1000, leaseMs / 4);
      const { unit, argv = [] } = shape;
      const spec = this.#specOf(shape, unit === undefined ? argv : unitWords("hold", unit, graceOf(this.#leftMs())));
      const leaseMs = this.#leftMs();
      const graceMs = graceOf(leaseMs);
      const child = GuardedProcess.start(spec, {
        ...{ command: this.#parts.command, leaseMs, onNodeGone: "end", ringBytes: 1024, stdout: sink, stderr: sink },
        graceMs,
      });
      this.#process = child;
      if (this.#stopped !== undefined) this.#ending = this.#endProcess();
      await child.started;
      void this.#watch(shape).catch((error: unknown) => {
        if (!this.#over.signal.aborted) this.#stop({ reason: reasonOf(error), failed: true });
      });
      const end = await child.ended;
      await this.#ending;
      await this.#endUnit(shape);
      return this.#endOf(end);
    } catch (error) {
      return this.#stopped ?? { failed: true, reason: reasonOf(error) };
    }
  }

  /**
   * Ends a unit that is left running by what held it, such as when its guard was killed: until then the copy has not
   * ended.
   */
  async #endUnit(shape: ServiceShape): Promise<void> {
    const { unit } = shape;
    if (unit === undefined) return;
    const graceMs = Math.min(END_UNIT_MS, shape.grace * 1000);
    const spec = this.#specOf(shape, unitWords("end", unit, graceMs));
    const ends = { timeoutMs: graceMs + END_UNIT_MS, graceMs: 0, signal: new AbortController().signal };
    for (;;) {
      const { end } = await runProcess(spec, ends);
      if (end.code === 0) return;
      this.waits = `${unit} cannot be stopped`;
      await pause(END_UNIT_MS, new AbortController().signal);
    }
  }

  /** Waits until it is ready, then looks whether it stays well. */
  async #watch(shape: ServiceShape): Promise<void> {
    const { signal } = this.#over;
    await this.#becomeReady(shape, signal);
    const status = shape.status ?? shape.ready;
    if (status === undefined) return;
    for (let failures = 0; !signal.aborted; ) {
      await pause(shape.status_interval * 1000, signal);
      const problem = await problemBy(status, shape.port, (argv) => this.#specOf(shape, argv), signal);
      failures = problem === undefined ? 0 : failures + 1;
      if (failures >= shape.status_failures) this.#stop({ reason: `it is not well: ${problem}`, failed: true });
    }
  }

  async #becomeReady({ ready, ready_timeout: seconds, ...shape }: ServiceShape, signal: AbortSignal): Promise<void> {
    const untilMs = performance.now() + seconds * 1000;
    let waitMs = READY_MS.first;
    while (ready !== undefined) {
      const whole = { ...shape, ready, ready_timeout: seconds };
      const problem = await problemBy(ready, shape.port, (argv) => this.#specOf(whole, argv), signal);
      if (problem === undefined) break;
      this.waits = textOf(problem);
      if (performance.now() >= untilMs) {
        this.#stop({ reason: `it was not ready within ${seconds} s: ${problem}`, failed: true });
        signal.throwIfAborted();
      }
      await pause(waitMs, signal);
      waitMs = Math.min(READY_MS.longest, 2 * waitMs);
    }
    signal.throwIfAborted();
    this.waits = "";
    this.state = "ready";
    this.#onNews();
  }

  #endOf({ cause, code, signal, outOfMemory, left }: ProcessEnd): { failed: boolean; reason: string } {
    const rest = left.length === 0 ? "" : `; ${left.length} of its processes could not be ended`;
    if (this.#stopped !== undefined) return { ...this.#stopped, reason: `${this.#stopped.reason}${rest}` };
    if (outOfMemory) return { failed: true, reason: "it used more memory than it may" };
    if (cause !== "exited") return { failed: true, reason: `it was ended: ${cause}${rest}` };
    const last = lastLineOf(this.tail().text);
    const how = `it ended by itself with ${code === undefined ? `the signal ${signal}` : `the exit code ${code}`}`;
    return { failed: true, reason: last === "" ? how : `${how}: ${last}` };
  }
}

function textOf(text: string): string {
  return printableLine(redactText(text)).slice(0, MAX_REASON);
}
