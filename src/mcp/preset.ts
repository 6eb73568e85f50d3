// The presets of the URL: `/mcp?preset=read-only` makes the caller a reader, whatever else it may do, so the gate
// enforces it for every call and lists follow from that. `/mcp?preset=core` offers the few tools for daily work alone.

import { asReader, type Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";

const READ_ONLY = "read-only";
const CORE = "core";

/** One caller with the core tools for each caller: the gate caches rights by the identity of the object. */
const withCoreTools = new WeakMap<Caller, Caller>();
const coreCallers = new WeakSet<Caller>();

/** Reports whether the caller asked for the core tools alone. */
export function hasCoreTools(caller: Caller): boolean {
  return coreCallers.has(caller);
}

/** Returns the caller as the preset of the URL makes it; Fault `invalid_input` for any other query. */
export function callerByUrl(url: string, caller: Caller): Caller | Fault {
  const query = url.indexOf("?");
  if (query < 0) return caller;
  const asked = new URLSearchParams(url.slice(query));
  const preset = asked.get("preset");
  if (asked.size === 0) return caller;
  if (asked.size === 1 && preset === READ_ONLY) return asReader(caller);
  if (asked.size === 1 && preset === CORE) return asCore(caller);
  const unknown = [...asked].find(([name, value]) => name !== "preset" || (value !== READ_ONLY && value !== CORE));
  const [name, value] = unknown ?? ["preset", String(asked.getAll("preset"))];
  return new Fault("invalid_input", `/mcp does not know ${JSON.stringify(`${name}=${value}`.slice(0, 80))}`, {
    hint: `Use /mcp, /mcp?preset=${READ_ONLY} for a connection that only reads, or /mcp?preset=${CORE} for few tools.`,
  });
}

function asCore(caller: Caller): Caller {
  const known = withCoreTools.get(caller);
  if (known !== undefined) return known;
  const made = { ...caller };
  withCoreTools.set(caller, made);
  coreCallers.add(made);
  return made;
}
