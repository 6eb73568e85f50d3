// Presets of the endpoint: `/mcp?preset=read-only` connects as a reader, whatever the caller may do else. The gate holds every call to it, not the list of tools.

import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";

const READ_ONLY = "read-only";

/** One reading caller for each caller, so that the gate can go on caching by identity. */
const readers = new WeakMap<Caller, Caller>();

/** The caller as the URL of its request asks to be taken, or Fault `invalid_input` for a query that says anything else. */
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
  return asked.size === 0 ? caller : readerFor(caller);
}

function readerFor(caller: Caller): Caller {
  const known = readers.get(caller);
  if (known !== undefined) return known;
  const reader: Caller = { ...caller, readOnly: true };
  readers.set(caller, reader);
  return reader;
}
