// Checks that a member still responds while calls wait for it: a half-open connection reports nothing by itself.

import { pause, rejectOnAbort } from "../lib/pause.ts";
import { connectionReason } from "../lib/reason-of.ts";
import { checkReady } from "./discovery/probe.ts";
import type { Send } from "./endpoint.ts";
import { NotReadyError } from "./errors.ts";

/** One missed heartbeat is tolerated: a full member is slow at times, and changing members has its price. */
const MAX_MISSED = 2;

/** What a heartbeat needs. */
export interface HeartbeatOptions {
  send: Send;
  /** Time between checks, and time limit of a check, in ms. */
  intervalMs: number;
  timeoutMs: number;
  /** Ends the heartbeat: the member was found dead, or the bridge ends. */
  signal: AbortSignal;
  /** Called before each check. */
  onCheck: () => void;
  /** The member responds that it takes no new calls; pending ones may still complete. */
  onBusy: (why: string) => void;
  /** The member does not respond; `signal` is to abort. */
  onDead: (why: string) => void;
}

/** The heartbeat of one member; it runs only while calls wait. */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #waiting = 0;
  #isRunning = false;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /** Reports that a call waits for the member, until the returned function is called. */
  keepAlive(): () => void {
    this.#waiting++;
    if (!this.#isRunning) void this.#run();
    return () => {
      this.#waiting--;
    };
  }

  async #run(): Promise<void> {
    const { intervalMs, signal, onCheck, onBusy, onDead } = this.#options;
    this.#isRunning = true;
    for (let missed = 0; this.#isNeeded(); ) {
      // After a missed heartbeat the next check follows at once.
      if (missed === 0) await pause(intervalMs, signal).catch(() => {});
      if (!this.#isNeeded()) break;
      onCheck();
      const failure = await this.#check();
      if (failure instanceof NotReadyError) onBusy(failure.message);
      missed = failure === undefined || failure instanceof NotReadyError ? 0 : missed + 1;
      if (failure !== undefined && missed === MAX_MISSED) onDead(failure.message);
    }
    this.#isRunning = false;
  }

  #isNeeded(): boolean {
    return this.#waiting > 0 && !this.#options.signal.aborted;
  }

  /** Returns why the member did not respond as it should, or undefined. */
  async #check(): Promise<Error | undefined> {
    const { send, timeoutMs, signal } = this.#options;
    const late = AbortSignal.timeout(timeoutMs);
    try {
      await Promise.race([checkReady(send, AbortSignal.any([signal, late])), rejectOnAbort(late)]);
      return undefined;
    } catch (error) {
      if (signal.aborted) return undefined;
      if (late.aborted) return new Error("it does not answer any more");
      return error instanceof NotReadyError ? error : new Error(connectionReason(error));
    }
  }
}
