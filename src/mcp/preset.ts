// The preset `/mcp?preset=read-only`: the caller connects as a reader, whatever else it may do. It is a property of the
// caller, so the gate enforces it for every call and lists follow from that.

import { asReader, type Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";

const READ_ONLY = "read-only";

/** Returns the caller, or its reading caller if the URL has the preset; Fault `invalid_input` for any other query. */
export function callerByUrl(url: string, caller: Caller): Caller | Fault {
  const query = url.indexOf("?");
  if (query < 0) return caller;
  const asked = new URLSearchParams(url.slice(query));
  for (const [name, value] of asked) {
    if (name === "preset" && value === READ_ONLY && asked.size === 1) continue;
    return new Fault("invalid_input", `/mcp does not know ${JSON.stringify(`${name}=${value}`.slice(0, 80))}`, {
      hint: `Use /mcp, or /mcp?preset=${READ_ONLY} for a connection that only reads.`,
    });
  }
  return asked.size === 0 ? caller : asReader(caller);
}
