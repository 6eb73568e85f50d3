// Proposals of a leader whose outcome has to be known before it says anything else about the same thing.

import { pause } from "../lib/pause.ts";
import type { Command, Log } from "../log/log.ts";

const AGAIN_MS = 250;

/**
 * Proposes a command and resolves when it is known to have been applied or not. One that failed to be sent and was sent
 * all the same is before the barrier, and before the first entry of this node's next term of leadership. `leading`
 * returns the signal of the present term, after which nothing is waited for.
 */
export async function decided(log: () => Log, command: Command, leading: () => AbortSignal): Promise<void> {
  try {
    await log().propose(command);
    return;
  } catch {
    // Whether it was applied is not known yet.
  }
  while (!leading().aborted) {
    try {
      return await log().barrier();
    } catch {
      await pause(AGAIN_MS);
    }
  }
}
