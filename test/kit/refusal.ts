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

/** Returns code, message and details of the refusal; throws when the call was not refused. */
export async function refusal(
  promise: Promise<unknown>,
): Promise<{ code: string; message: string; details: Record<string, unknown> }> {
  try {
    await promise;
  } catch (error) {
    return error as { code: string; message: string; details: Record<string, unknown> };
  }
  throw new Error("was not refused");
}
