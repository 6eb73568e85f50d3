// Gives other work of the event loop a turn where a loop has run for a few milliseconds, however long its steps take.

import { setImmediate as nextTurn } from "node:timers/promises";

/** How long a loop goes on before other work gets a turn, in ms. */
const TURN_MS = 5;

/** The turns of one loop. */
export class ShortTurns {
  #beganMs = performance.now();

  /** Reports whether other work is to get a turn now. */
  get isOver(): boolean {
    return performance.now() - this.#beganMs >= TURN_MS;
  }

  /** Resolves after other work had its turn. */
  async give(): Promise<void> {
    await nextTurn();
    this.#beganMs = performance.now();
  }
}
