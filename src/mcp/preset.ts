// The preset of a connection: its URL names it, or else a grant of its caller, or else it is `all`. `read-only` can be
// added to any: it makes the caller a reader, whatever else it may do, so the gate enforces it for every call.

import { LRUCache } from "lru-cache";
import { asReader, type Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import { ALL, READ_ONLY } from "../operation/presets.ts";
import { MCP_ROUTE } from "./route.ts";

/** One caller for each caller and preset: the gate caches rights by the identity of the object. */
const callers = new WeakMap<Caller, LRUCache<string, Caller>>();
const presets = new WeakMap<Caller, Connected>();
/** Most of them for one caller: what a URL gives is up to its client. */
const MAX_CALLERS = 64;
/** Longest value in a URL, in characters. */
const MAX_VALUE = 256;

interface Connected {
  preset: string;
  given: GivenArguments;
}

/** Arguments of tools that a URL gives. */
export type GivenArguments = Readonly<Record<string, string>>;

/** Returns the name of the preset of a caller's connection. */
export function presetOf(caller: Caller): string {
  return presets.get(caller)?.preset ?? ALL;
}

/** Returns the arguments that the URL of a caller's connection gives, for tools that take them. */
export function givenByUrl(caller: Caller): GivenArguments {
  return presets.get(caller)?.given ?? {};
}

/** Returns the preset with what its URL gives, as one text for each kind of connection that a caller may have. */
export function connectionOf(caller: Caller): string {
  const name = keyOf(presetOf(caller), givenByUrl(caller));
  return caller.readOnly === true ? `${name},${READ_ONLY}` : name;
}

function keyOf(preset: string, given: GivenArguments): string {
  const query = new URLSearchParams(given);
  query.sort();
  return query.size === 0 ? preset : `${preset}?${query.toString()}`;
}

/** What decides the preset of a connection, besides its URL. */
export interface PresetRules {
  /** Names of the presets of the build. */
  known: readonly string[];
  /** The preset that a grant of the caller names; one that the build does not have counts for nothing. */
  granted: string | undefined;
  /** Returns the arguments that the URL of a preset may give. */
  argumentsOf?(preset: string): readonly string[];
}

/**
 * Returns the caller as the preset of its connection makes it. A URL that names any preset leaves that of the grant
 * aside. Fault `not_found` for another path, `invalid_input` for any other query.
 */
export function callerByUrl(url: string, caller: Caller, rules: PresetRules): Caller | Fault {
  const { known, granted } = rules;
  const { pathname, searchParams } = new URL(url);
  const path = pathname.slice(MCP_ROUTE.path.length);
  const inPath = path === "" ? [] : [path.replaceAll(/^\/|\/$/g, "")];
  if (inPath.some((name) => !isKnown(name, known))) return unknown("not_found", pathname, known);
  const query = searchParams.get("preset");
  const names = [...inPath, ...(query?.split(",") ?? [])];
  const asked = `${pathname}?${searchParams.toString()}`;
  if (names.some((name) => !isKnown(name, known))) return unknown("invalid_input", asked, known);
  const isGranted = names.length === 0 && granted !== undefined && presetProblem(granted, known) === undefined;
  const wanted = isGranted ? granted.split(",") : names;
  const given = [...searchParams].filter(([name]) => name !== "preset");
  const allowed = rules.argumentsOf?.(listsIn(wanted)[0] ?? ALL) ?? [];
  const isTaken = ([name, value]: [string, string]) => allowed.includes(name) && value.length <= MAX_VALUE;
  const isOnce = new Set([...searchParams.keys()]).size === searchParams.size;
  if (!isOnce || !given.every(isTaken)) return unknown("invalid_input", asked, known);
  return callerWith(caller, wanted, Object.fromEntries(given));
}

/** Returns what is wrong with a text that names a preset, as the end of a sentence; undefined: nothing. */
export function presetProblem(text: string, known: readonly string[]): string | undefined {
  const names = text.split(",");
  const other = names.find((name) => !isKnown(name, known));
  if (other !== undefined) {
    const shown = JSON.stringify(other.slice(0, 80));
    return `there is no preset ${shown}; there are ${[...known, READ_ONLY].join(", ")}`;
  }
  const lists = listsIn(names);
  return lists.length > 1 ? `${lists.join(" and ")} are two presets; only ${READ_ONLY} can be added to one` : undefined;
}

function callerWith(caller: Caller, names: readonly string[], given: GivenArguments): Caller | Fault {
  const lists = listsIn(names);
  const [preset = ALL] = lists;
  if (lists.length > 1) {
    return new Fault("invalid_input", `A connection has one preset, and its URL names ${lists.join(" and ")}`, {
      hint: `Name one of them; only ${READ_ONLY} can be added: ${MCP_ROUTE.path}?preset=${preset},${READ_ONLY}.`,
    });
  }
  return asPreset(names.includes(READ_ONLY) ? asReader(caller) : caller, { preset, given });
}

/** Returns the names of lists of tools among those, each once. */
function listsIn(names: readonly string[]): string[] {
  return [...new Set(names.filter((name) => name !== READ_ONLY))];
}

/** Returns the caller with the preset; for the same object and connection the same one, as long as it is kept. */
function asPreset(caller: Caller, connected: Connected): Caller {
  const key = keyOf(connected.preset, connected.given);
  if (key === ALL) return caller;
  const made = callers.get(caller) ?? new LRUCache<string, Caller>({ max: MAX_CALLERS });
  callers.set(caller, made);
  const found = made.get(key) ?? { ...caller };
  made.set(key, found);
  presets.set(found, connected);
  return found;
}

function isKnown(name: string, known: readonly string[]): boolean {
  return name === READ_ONLY || known.includes(name);
}

function unknown(code: "not_found" | "invalid_input", asked: string, known: readonly string[]): Fault {
  const all = [...known, READ_ONLY].map((name) => `${MCP_ROUTE.path}?preset=${name}`);
  return new Fault(code, `MCP does not know ${JSON.stringify(asked.slice(0, 120))}`, {
    hint: `Use ${MCP_ROUTE.path}, or one of ${all.join(", ")}; ${READ_ONLY} can be added to another after a comma.`,
  });
}
