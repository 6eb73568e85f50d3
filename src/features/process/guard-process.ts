// The guard of a child: a process of its own, in a session of its own, that starts the child and ends it at its
// deadline, whatever the node does. It imports little, and does nothing but wait: it is there for each service.

import { pause } from "../../lib/pause.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { openSleepClock } from "../../lib/sleep-clock.ts";
import { type FromGuard, momentOf, type ToGuard } from "./guard-messages.ts";
import { DRAIN_MS, type RunningChild, startChild } from "./run.ts";

/** Between two looks at the clock, in ms. A timer stands still while the machine sleeps, so it is never long. */
const LOOK_MS = 1000;
/** The same when something is due within `NEAR_MS`. */
const NEAR_LOOK_MS = 20;
const NEAR_MS = 2000;

/** Runs the guard of the process that started this one. */
export function runGuard(): void {
  const guard = new Guard();
  process.on("message", (message: ToGuard) => guard.take(message));
  process.on("disconnect", () => guard.nodeGone());
  // systemd asks all processes of a unit to end, and this one ends its child before itself.
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => guard.stop());
  process.on("SIGHUP", () => {});
  // It writes nothing: its output is that of the child.
  for (const event of ["uncaughtException", "unhandledRejection"] as const) process.on(event, () => guard.giveUp());
}

class Guard {
  readonly #clock = openSleepClock();
  #start: Extract<ToGuard, { type: "start" }> | undefined;
  #child: RunningChild<"pipe" | "inherit"> | undefined;
  readonly #gone = Promise.withResolvers<void>();
  #deadlineMs = Number.POSITIVE_INFINITY;

  take(message: ToGuard): void {
    if (message.type === "start") this.#begin(message);
    else if (message.type === "renew") this.#deadlineMs = momentOf(message.deadline, this.#clock);
    else if (message.type === "signal") this.#child?.tree.signalGroup(message.signal);
    else void this.#child?.stop("stopped", message.graceMs);
  }

  /** The node has ended, or has closed the channel. */
  nodeGone(): void {
    this.#gone.resolve();
    if (this.#child === undefined) process.exit(0);
    if (this.#start?.onNodeGone === "end") void this.#child.stop("node_gone", this.#start.graceMs);
  }

  stop(): void {
    if (this.#child === undefined) process.exit(0);
    void this.#child.stop("stopped", this.#start?.graceMs ?? 0);
  }

  /** Something in the guard is broken: a child without a guard does not run. */
  giveUp(): void {
    this.#child?.tree.signal("SIGKILL");
    process.exit(1);
  }

  #begin(start: Extract<ToGuard, { type: "start" }>): void {
    this.#start = start;
    if (start.deadline !== undefined) this.#deadlineMs = momentOf(start.deadline, this.#clock);
    if (this.#clock.nowMs() >= this.#deadlineMs - start.graceMs) {
      finish({ type: "failed", message: "its time was over before it could start" });
      return;
    }
    try {
      const stdin = start.stdio === "inherit" ? "inherit" : "ignore";
      this.#child = startChild<"pipe" | "inherit">(start.launch, {
        stdio: start.stdio,
        stdin,
        graceMs: start.graceMs,
      });
    } catch (error) {
      finish({ type: "failed", message: reasonOf(error) });
      return;
    }
    const { process: child, ended } = this.#child;
    tell({ type: "started", pid: child.pid });
    const relayed = Promise.all([
      relay(child.stdout, Bun.stdout, this.#gone.promise),
      relay(child.stderr, Bun.stderr, this.#gone.promise),
    ]);
    void ended.then((end) => finish({ type: "ended", end }, Promise.race([relayed, pause(DRAIN_MS)])));
    this.#look();
  }

  /** SIGTERM comes before the deadline, so that SIGKILL comes at the deadline. */
  readonly #look = (): void => {
    const { graceMs = 0 } = this.#start ?? {};
    const leftMs = this.#deadlineMs - graceMs - this.#clock.nowMs();
    if (leftMs <= 0) void this.#child?.stop("deadline", Math.max(0, leftMs + graceMs));
    setTimeout(this.#look, leftMs > NEAR_MS ? LOOK_MS : Math.max(1, Math.min(NEAR_LOOK_MS, leftMs)));
  };
}

/**
 * Passes output on to the node, and drops it when the node is gone: a child whose output has no reader would be ended
 * by its next line, before it has done what it does on SIGTERM.
 */
async function relay(
  from: ReadableStream<Uint8Array> | undefined,
  to: Bun.BunFile,
  gone: Promise<void>,
): Promise<void> {
  if (from === undefined) return;
  const writer = to.writer();
  let isGone = false;
  const drop = () => {
    isGone = true;
  };
  void gone.then(drop);
  for await (const chunk of from) {
    if (isGone) continue;
    // A flush that waits when the node is killed may never end.
    const written = async () => {
      writer.write(chunk);
      await writer.flush();
    };
    await Promise.race([written().catch(drop), gone]);
  }
}

function tell(message: FromGuard): void {
  try {
    process.send?.(message);
  } catch {
    // The node is gone.
  }
}

/** Tells the last message, and ends when the rest of the output is passed on too. */
function finish(message: FromGuard, rest: Promise<unknown> = Promise.resolve()): void {
  const end = () => void rest.then(() => process.exit(0));
  setTimeout(end, 500);
  try {
    process.send?.(message, end);
  } catch {
    end();
  }
}
