// Errors that should not happen: each gets an id. The log has the error under it, and a caller sees the id alone, so
// that nothing internal leaks.

import { Fault } from "./fault.ts";
import { reasonOf } from "./reason-of.ts";

/**
 * Logs an error under a new id and returns the id; the stack is logged at debug only. `what` failed, such as "a page".
 * `fields` say more to machines, such as the trace that it happened in.
 */
export function logUnexpected(
  log: (level: "error" | "debug", message: string, fields?: Record<string, unknown>) => void,
  what: string,
  error: unknown,
  fields: Record<string, unknown> = {},
): string {
  const id = crypto.randomUUID().slice(0, 8);
  log("error", `${what} failed unexpectedly (${id}): ${reasonOf(error)}`, fields);
  if (error instanceof Error)
    log("debug", `${what} failed unexpectedly (${id}), where: ${error.stack ?? "unknown"}`, fields);
  return id;
}

/**
 * Returns the Fault that a caller sees. `what` failed, such as "The page"; without another `hint` it points to the log.
 */
export function unexpectedFault(what: string, id: string, hint = `The node's log says more under ${id}.`): Fault {
  return new Fault("internal", `${what} failed unexpectedly (error ${id})`, { hint, details: { error_id: id } });
}
