// Errors that should not happen: each gets an id. The log has the error under it, and a caller sees the id alone, so
// that nothing internal leaks.

import { Fault } from "./fault.ts";
import { reasonOf } from "./reason-of.ts";

/**
 * Logs an error under a new id and returns the id; the stack is logged at debug only. `what` failed, such as "a page".
 */
export function logUnexpected(
  log: (level: "error" | "debug", message: string) => void,
  what: string,
  error: unknown,
): string {
  const id = crypto.randomUUID().slice(0, 8);
  log("error", `${what} failed unexpectedly (${id}): ${reasonOf(error)}`);
  if (error instanceof Error) log("debug", `${what} failed unexpectedly (${id}), where: ${error.stack ?? "unknown"}`);
  return id;
}

/**
 * Returns the Fault that a caller sees. `what` failed, such as "The page"; without another `hint` it points to the log.
 */
export function unexpectedFault(what: string, id: string, hint = `The node's log says more under ${id}.`): Fault {
  return new Fault("internal", `${what} failed unexpectedly (error ${id})`, { hint, details: { error_id: id } });
}
