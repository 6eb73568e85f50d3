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
  #deadlineMs = Number.POSITIVE_INFINITY;

  take(message: ToGuard): void {
    if (message.type === "start") this.#begin(message);
    else if (message.type === "renew") this.#deadlineMs = momentOf(message.deadline, this.#clock);
    else if (message.type === "signal") this.#child?.tree.signalGroup(message.signal);
    else void this.#child?.stop("stopped", message.graceMs);
  }

  /** The node has ended, or has closed the channel. */
  nodeGone(): void {
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
    // Where it is to outlive the node, its output has to have a reader that does.
    const relays = start.stdio === "pipe" && start.onNodeGone === "deadline";
    try {
      const stdin = start.stdio === "inherit" ? "inherit" : "ignore";
      this.#child = startChild<"pipe" | "inherit">(start.launch, {
        stdio: relays ? "pipe" : "inherit",
        stdin,
        graceMs: start.graceMs,
      });
    } catch (error) {
      finish({ type: "failed", message: reasonOf(error) });
      return;
    }
    const { process: child, ended } = this.#child;
    tell({ type: "started", pid: child.pid });
    const relayed = relays
      ? Promise.all([relay(child.stdout, Bun.stdout), relay(child.stderr, Bun.stderr)])
      : undefined;
    void ended.then(async (end) => {
      await Promise.race([relayed, pause(DRAIN_MS)]);
      finish({ type: "ended", end });
    });
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

/** Passes output on to the node, and drops it when the node is gone. */
async function relay(from: ReadableStream<Uint8Array> | undefined, to: Bun.BunFile): Promise<void> {
  const writer = to.writer();
  let isBroken = false;
  for await (const chunk of from ?? []) {
    if (isBroken) continue;
    try {
      writer.write(chunk);
      await writer.flush();
    } catch {
      isBroken = true;
    }
  }
}

function tell(message: FromGuard): void {
  try {
    process.send?.(message);
  } catch {
    // The node is gone.
  }
}

/** Tells the last message and ends. */
function finish(message: FromGuard): void {
  const end = () => process.exit(0);
  setTimeout(end, 500);
  try {
    process.send?.(message, end);
  } catch {
    end();
  }
}
