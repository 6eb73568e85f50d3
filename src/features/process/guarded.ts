// A child under a guard: the node's side. The guard holds the deadline; the node renews it, and watches the guard.

import { childEnvironment } from "../../lib/child-environment.ts";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { openSleepClock } from "../../lib/sleep-clock.ts";
import { freeCgroup } from "./cgroup.ts";
import { deadlineIn, type FromGuard, type OnNodeGone, type ToGuard } from "./guard-messages.ts";
import { type Launch, type ProcessBounds, type ProcessSpec, prepareLaunch } from "./launch.ts";
import { MARK_VARIABLE, ProcessTree } from "./process-tree.ts";
import { GRACE_MS, MAX_TIMER_MS, type OutputSinks, type ProcessEnd, type Rings, takeOutput } from "./run.ts";

/** The word of the command line that runs a guard (src/main.ts). */
export const GUARD_WORD = "process-guard";

/** Counts a lease down from now, sleep of the machine too: what comes before the start takes from its time. */
export function leaseFromNow(leaseMs: number): () => number {
  const clock = openSleepClock();
  const untilMs = clock.nowMs() + leaseMs;
  return () => untilMs - clock.nowMs();
}

export interface GuardOptions extends OutputSinks {
  /** The command that runs this executable. */
  command: readonly string[];
  /** Until when it may run, from now, in ms, without a renewal. Without one it runs until it is ended. */
  leaseMs?: number | undefined;
  /** It gets SIGTERM so long before the deadline, and SIGKILL at it; the same when the node is gone. */
  graceMs?: number | undefined;
  onNodeGone?: OnNodeGone | undefined;
  /** A guard that has not started it within this time, in ms, is ended. */
  startMs?: number;
  /** `inherit`: it has the terminal of this process in place of rings. */
  stdio?: "pipe" | "inherit";
}

/** What the guard gets beyond a time at which it should have ended the child, in ms. */
const LATE_MS = 1000;
/** Default of `startMs`. */
const START_MS = 30_000;

type Guard = Bun.Subprocess<"ignore" | "inherit", "pipe" | "inherit", "pipe" | "inherit">;

/** A child that runs under a guard. */
export class GuardedProcess {
  readonly bounds: ProcessBounds;
  /** What it has written; undefined where it has the terminal of this process. */
  readonly output: Rings | undefined;
  /** Resolves with the process id of the child. Rejects with Fault `unavailable` where it could not be started. */
  readonly started: Promise<number>;
  /** Resolves when it and all that it started have ended. Rejects as `started` does. */
  readonly ended: Promise<ProcessEnd>;
  readonly #guard: Guard;
  readonly #clock = openSleepClock();
  readonly #launch: Launch;
  readonly #graceMs: number;
  readonly #beganMs = performance.now();
  #pid = 0;
  #late: ReturnType<typeof setTimeout> | undefined;
  /** When it is to have ended by its lease, and because it was asked to: a renewal moves the first alone. */
  #leaseByMs = Number.POSITIVE_INFINITY;
  #stopByMs = Number.POSITIVE_INFINITY;

  private constructor(spec: ProcessSpec, options: GuardOptions) {
    const { leaseMs, graceMs = GRACE_MS, startMs = START_MS, stdio = "pipe" } = options;
    // What is prepared takes from its time.
    const deadline = leaseMs === undefined ? undefined : deadlineIn(leaseMs, this.#clock);
    const { launch, bounds } = prepareLaunch(spec);
    this.bounds = bounds;
    this.#launch = launch;
    this.#graceMs = graceMs;
    const started = Promise.withResolvers<number>();
    const told = Promise.withResolvers<ProcessEnd>();
    const closed = Promise.withResolvers<void>();
    const hear = (message: FromGuard): void => {
      if (message.type === "ended") told.resolve(message.end);
      else if (message.type === "failed") told.reject(notStarted(spec, message.message));
      else {
        this.#pid = message.pid;
        started.resolve(message.pid);
      }
    };
    this.#guard = startGuard(options, launch, hear, closed.resolve);
    const taken = stdio === "pipe" ? takeOutput(this.#guard as PipedGuard, this.#guard.exited, options) : undefined;
    this.output = taken?.output;
    this.started = started.promise;
    // Its last message may come when it has ended already, but not when the channel is closed.
    const gone = Promise.all([this.#guard.exited, closed.promise]).then(() => undefined);
    this.ended = Promise.race([told.promise, gone])
      .then((end) => end ?? this.#endWithoutGuard())
      .finally(() => {
        clearTimeout(this.#late);
        return taken?.done;
      });
    this.ended.then(() => started.reject(notStarted(spec, "its guard has ended")), started.reject);
    // Whoever waits for one of the two need not wait for the other.
    for (const promise of [this.started, this.ended]) promise.catch(() => {});
    // Without a deadline it would run for ever.
    const onNodeGone = deadline === undefined ? "end" : (options.onNodeGone ?? "end");
    this.#tell({ type: "start", launch, stdio, deadline, graceMs, onNodeGone });
    if (leaseMs !== undefined) this.#leaseByMs = this.#beganMs + leaseMs;
    this.#expectEnd();
    const hangs = setTimeout(() => this.#guard.kill("SIGKILL"), startMs);
    hangs.unref();
    this.started.finally(() => clearTimeout(hangs)).catch(() => {});
  }

  /** Starts a child under a guard. Throws the Faults of `prepareLaunch`. */
  static start(spec: ProcessSpec, options: GuardOptions): GuardedProcess {
    return new GuardedProcess(spec, options);
  }

  /** Process id of the guard. */
  get guardPid(): number {
    return this.#guard.pid;
  }

  /** Moves the deadline: it may run for `leaseMs` from now. Once its end has begun, nothing changes. */
  renew(leaseMs: number): void {
    this.#tell({ type: "renew", deadline: deadlineIn(leaseMs, this.#clock) });
    this.#leaseByMs = performance.now() + leaseMs;
    this.#expectEnd();
  }

  /** Sends a signal to it and to its process group. */
  signal(signal: NodeJS.Signals): void {
    this.#tell({ type: "signal", signal });
  }

  /** Ends it: SIGTERM, and SIGKILL after `graceMs`, or at the deadline if that comes first. */
  stop(graceMs: number = this.#graceMs): Promise<ProcessEnd> {
    this.#tell({ type: "stop", graceMs });
    this.#stopByMs = Math.min(this.#stopByMs, performance.now() + graceMs);
    this.#expectEnd();
    return this.ended;
  }

  #tell(message: ToGuard): void {
    try {
      this.#guard.send(message);
    } catch {
      // The guard is gone, and `ended` says what became of the child.
    }
  }

  /** A guard that has not ended the child in time is stopped or hangs. Without it the child ends. */
  #expectEnd(): void {
    clearTimeout(this.#late);
    const leftMs = Math.min(this.#leaseByMs, this.#stopByMs) + LATE_MS - performance.now();
    if (leftMs === Number.POSITIVE_INFINITY) return;
    const killGuard = () => void this.#guard.kill("SIGKILL");
    this.#late = setTimeout(killGuard, Math.min(Math.max(0, leftMs), MAX_TIMER_MS));
    this.#late.unref();
  }

  async #endWithoutGuard(): Promise<ProcessEnd> {
    const { mark, cgroup } = this.#launch;
    const { wasKilled, left } = await new ProcessTree({ group: this.#pid, mark, cgroup }).end(0);
    const unseen = { code: undefined, signal: undefined, cpuMs: undefined, memoryBytes: undefined };
    const tookMs = Math.round(performance.now() - this.#beganMs);
    return { cause: "guard_gone", ...unseen, wasKilled, left, outOfMemory: freeCgroup(cgroup), tookMs };
  }
}

type PipedGuard = Bun.Subprocess<"ignore", "pipe", "pipe">;

/** Throws Fault `unavailable` where the system does not start it. */
function startGuard(
  { command, stdio = "pipe" }: GuardOptions,
  { cgroup }: Launch,
  hear: (message: FromGuard) => void,
  onClosed: () => void,
): Guard {
  try {
    return Bun.spawn<"ignore" | "inherit", "pipe" | "inherit", "pipe" | "inherit">({
      cmd: [...command, GUARD_WORD],
      // With the mark of a child that this process itself is: the guard ends with it.
      env: childEnvironment(process.env, ["PATH", MARK_VARIABLE]),
      cwd: "/",
      // What ends this process by its group or terminal does not end the guard.
      detached: true,
      stdin: stdio === "inherit" ? "inherit" : "ignore",
      stdout: stdio,
      stderr: stdio,
      serialization: "json",
      ipc: hear,
      onDisconnect: onClosed,
    });
  } catch (cause) {
    freeCgroup(cgroup);
    throw new Fault("unavailable", `The guard of a process could not be started: ${reasonOf(cause)}`, {
      hint: "See whether this user may start more processes (ulimit -u), and whether the executable is still there.",
      cause,
    });
  }
}

function notStarted({ argv }: ProcessSpec, reason: string): Fault {
  return new Fault("unavailable", `${argv[0]} could not be started: ${reason}`, {
    hint: "See whether the file is a program for this machine, and whether its user may start more processes.",
  });
}
