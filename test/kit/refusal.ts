// The Fault with which a call was refused, for assertions.

import { Fault } from "../../src/lib/fault.ts";

/** Returns the Fault that `run` throws; throws when it throws none. */
export function faultOf(run: () => unknown): Fault {
  try {
    run();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("was not refused");
}

/** What a test asks of a refusal. */
interface Refusal {
  code: string;
  message: string;
  hint?: string;
  details: Record<string, unknown>;
}

/** Returns the refusal of a call; throws when the call was not refused. */
export async function refusal(promise: Promise<unknown>): Promise<Refusal> {
  try {
    await promise;
  } catch (error) {
    return error as Refusal;
  }
  throw new Error("was not refused");
}
