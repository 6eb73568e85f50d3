// Runs a child of this process: starts it, takes its output, and ends it with all that it started, by itself, after a
// time or when it is asked for.

import { Fault } from "../../lib/fault.ts";
import { pause } from "../../lib/pause.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { freeCgroup } from "./cgroup.ts";
import { type Launch, type ProcessBounds, type ProcessSpec, prepareLaunch } from "./launch.ts";
import { OutputRing, type OutputSink, pump } from "./output.ts";
import { ProcessTree } from "./process-tree.ts";

/** Why a child ended: by itself, or what ended it. */
export type EndCause = "exited" | "timeout" | "cancelled" | "stopped" | "deadline" | "node_gone" | "guard_gone";

/** The end of a child and of all that it started. */
export interface ProcessEnd {
  cause: EndCause;
  /** Its exit code; undefined when a signal ended it, or when no one saw its end. */
  code: number | undefined;
  signal: NodeJS.Signals | undefined;
  /** Whether SIGKILL was needed for it, or for something that it left behind. */
  wasKilled: boolean;
  /** Processes that could not be ended; empty but for those that hang in the kernel or run as someone else. */
  left: readonly number[];
  /** Whether the kernel killed something for its limit of memory. */
  outOfMemory: boolean;
  tookMs: number;
  /** Of the child and what it waited for: CPU time, and the most memory of one process. */
  cpuMs: number | undefined;
  memoryBytes: number | undefined;
}

/** How long it gets between SIGTERM and SIGKILL, in ms. */
export const GRACE_MS = 10_000;
/** Bytes of each of stdout and stderr that are kept. */
export const RING_BYTES = 64 * 1024;
/** How long output is waited for when no process is left, in ms: one that was not found may hold it open. */
export const DRAIN_MS = 5000;
/** Longest that a timer of the engine can be, in ms. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Who gets the output besides the rings. */
export interface OutputSinks {
  ringBytes?: number | undefined;
  stdout?: OutputSink | undefined;
  stderr?: OutputSink | undefined;
}

/** How long it may run, and what ends it. */
export interface RunOptions extends OutputSinks {
  timeoutMs: number;
  signal: AbortSignal;
  graceMs?: number | undefined;
}

/** The output of a child, as long as it is kept. */
export interface Rings {
  stdout: OutputRing;
  stderr: OutputRing;
}

/** A child that has ended. */
export interface FinishedProcess {
  end: ProcessEnd;
  output: Rings;
  bounds: ProcessBounds;
}

/**
 * Runs a child to its end, at most `timeoutMs`. However it ends, nothing of it is left but what `left` names. Rejects
 * with the Faults of `prepareLaunch`, and with `unavailable` where the system does not start it.
 */
export async function runProcess(spec: ProcessSpec, options: RunOptions): Promise<FinishedProcess> {
  const { signal, timeoutMs, graceMs = GRACE_MS } = options;
  signal.throwIfAborted();
  const { launch, bounds } = prepareLaunch(spec);
  const child = startChild(launch, { stdio: "pipe", graceMs });
  const cancel = () => void child.stop("cancelled", graceMs);
  const timer = setTimeout(() => void child.stop("timeout", graceMs), Math.min(timeoutMs, MAX_TIMER_MS));
  signal.addEventListener("abort", cancel, { once: true });
  try {
    const taken = takeOutput(child.process, child.ended, options);
    const end = await child.ended;
    await taken.done;
    return { end, output: taken.output, bounds };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", cancel);
  }
}

/** Reads what a child writes. `done` resolves at the end of it, or some seconds after `ended`. */
export function takeOutput(
  process: Pick<Bun.Subprocess<"ignore", "pipe", "pipe">, "stdout" | "stderr">,
  ended: Promise<unknown>,
  { ringBytes = RING_BYTES, stdout, stderr }: OutputSinks,
): { output: Rings; done: Promise<void> } {
  const output = { stdout: new OutputRing(ringBytes), stderr: new OutputRing(ringBytes) };
  const late = new AbortController();
  const toRing =
    (ring: OutputRing): OutputSink =>
    (chunk) =>
      ring.push(chunk);
  const pumps = Promise.all([
    pump(process.stdout, [toRing(output.stdout), ...(stdout === undefined ? [] : [stdout])], late.signal),
    pump(process.stderr, [toRing(output.stderr), ...(stderr === undefined ? [] : [stderr])], late.signal),
  ]);
  const done = ended.then(async () => {
    const drained = new AbortController();
    await Promise.race([pumps, pause(DRAIN_MS, drained.signal).catch(() => {})]);
    drained.abort();
    late.abort();
  });
  return { output, done };
}

/** A child that runs. */
export interface RunningChild<Stdio extends "pipe" | "inherit"> {
  process: Bun.Subprocess<"ignore" | "inherit", Stdio, Stdio>;
  tree: ProcessTree;
  ended: Promise<ProcessEnd>;
  /** Ends it: SIGTERM, and SIGKILL after `graceMs`. The first cause counts, and the shortest grace. */
  stop(cause: EndCause, graceMs: number): Promise<ProcessEnd>;
}

/**
 * Starts a child. What it leaves behind at its end has `graceMs` to end. Throws Fault `unavailable` where the system
 * does not let it start.
 */
export function startChild<Stdio extends "pipe" | "inherit">(
  launch: Launch,
  { stdio, stdin = "ignore", graceMs }: { stdio: Stdio; stdin?: "ignore" | "inherit"; graceMs: number },
): RunningChild<Stdio> {
  const beganMs = performance.now();
  const process = spawn(launch, stdin, stdio);
  const tree = new ProcessTree({ group: process.pid, mark: launch.mark, cgroup: launch.cgroup });
  let cause: EndCause = "exited";
  let hasExited = false;
  const whole = async (): Promise<ProcessEnd> => {
    await process.exited;
    hasExited = true;
    // What it left behind ends with it.
    const { wasKilled, left } = await tree.end(graceMs);
    const usage = process.resourceUsage();
    return {
      cause,
      code: process.signalCode === null ? (process.exitCode ?? undefined) : undefined,
      signal: (process.signalCode as NodeJS.Signals | null) ?? undefined,
      wasKilled,
      left,
      outOfMemory: freeCgroup(launch.cgroup),
      tookMs: Math.round(performance.now() - beganMs),
      cpuMs: usage === undefined ? undefined : Number(usage.cpuTime.total) / 1000,
      memoryBytes: usage?.maxRSS,
    };
  };
  const ended = whole();
  const stop = (why: EndCause, graceMs: number): Promise<ProcessEnd> => {
    if (!hasExited && !tree.isEnding) cause = why;
    void tree.end(graceMs);
    return ended;
  };
  return { process, tree, ended, stop };
}

function spawn<Stdio extends "pipe" | "inherit">(launch: Launch, stdin: "ignore" | "inherit", stdio: Stdio) {
  const { program, cmd, cwd, env, cgroup, user = {} } = launch;
  try {
    return Bun.spawn<"ignore" | "inherit", Stdio, Stdio>({
      cmd,
      cwd,
      env,
      // A session and group of its own, which can be ended as a whole.
      detached: true,
      stdin,
      stdout: stdio,
      stderr: stdio,
      ...user,
      ...(cgroup === undefined ? {} : { cgroup }),
    });
  } catch (cause) {
    freeCgroup(cgroup);
    throw new Fault("unavailable", `${program} could not be started: ${reasonOf(cause)}`, {
      hint: "See whether the file is a program for this machine, and whether its user may start more processes.",
      cause,
    });
  }
}
