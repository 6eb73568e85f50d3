// The duty of the leader that removes expired rows of all features: it looks at the earliest time of each table, and
// proposes a command only where that is over. What a command does: expiring.ts.

import { setImmediate as nextTurn } from "node:timers/promises";
import { pause } from "../lib/pause.ts";
import type { Lead } from "../log/duties.ts";
import { levelOf } from "../log/level.ts";
import type { Log } from "../log/log.ts";
import { nodeCommand } from "../log/node-command.ts";
import type { Reader } from "../store/store.ts";
import type { Expiring } from "./expiring.ts";

/** How often the leader looks, in ms: a row is removed about so much later at most. */
const LOOK_MS = 1000;

/** What `ExpireDuty` works with. */
export interface ExpireDutyOptions {
  reader: Reader;
  log: Pick<Log, "propose" | "timeMs">;
  expiring: readonly Expiring[];
  /** Called with what a proposal failed with; the next look tries again. */
  onError: (error: unknown) => void;
}

/** Removes expired rows while its node leads. */
export class ExpireDuty {
  readonly #options: ExpireDutyOptions;

  constructor(options: ExpireDutyOptions) {
    this.#options = options;
  }

  /** The duty: looks again and again until the signal aborts. */
  lead({ signal }: Lead): void {
    if (this.#options.expiring.length > 0) void this.#lookUntil(signal);
  }

  /** Removes everything that is due now, in commands of bounded work. Ends early when the signal aborts. */
  async look(signal: AbortSignal): Promise<void> {
    for (const each of this.#options.expiring) {
      try {
        await this.#removeDue(each, signal);
      } catch (error) {
        // Another node may lead now, which looks itself.
        if (!signal.aborted) this.#options.onError(error);
      }
    }
  }

  async #lookUntil(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look(signal);
      await pause(LOOK_MS, signal).catch(() => {});
    }
  }

  async #removeDue(each: Expiring, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#isDue(each)) {
      const command = nodeCommand(each.write, {});
      const { output } = await this.#options.log.propose(command);
      // The stamp may be earlier than the time that was looked at: a clock was corrected in between.
      if (output["removed"] === 0) return;
      await nextTurn();
    }
  }

  #isDue({ write, due }: Expiring): boolean {
    const { reader, log } = this.#options;
    if (levelOf(reader) < (write.level ?? 1)) return false;
    const earliest = due(reader);
    return earliest !== undefined && earliest <= log.timeMs();
  }
}
