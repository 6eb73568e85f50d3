// From the caller header of the Go half to the Caller that the gate judges. The same state of a caller is always the same object, so that the gate can cache.

import { LRUCache } from "lru-cache";
import type { Caller } from "../../access/caller.ts";
import { Fault } from "../../lib/fault.ts";
import type { Conditions } from "../../observe/conditions.ts";
import { caller as callerWire, type Tailnet } from "../../tailnet/index.ts";

export interface CallersOptions {
  grants: Tailnet["grants"];
  /** Why capability objects of a caller are worth nothing, as the gate sees it. */
  problems: (caller: Caller) => readonly string[];
  conditions: Conditions;
}

const MAX_CALLERS = 2048;
const MAX_PROBLEMS = 100;

/** Callers as the Go half proves them, one object for one state of each. */
export class Callers {
  readonly #options: CallersOptions;
  readonly #known = new LRUCache<string, Caller>({ max: MAX_CALLERS });
  readonly #grants = new LRUCache<string, readonly unknown[]>({ max: MAX_CALLERS });
  readonly #problems = new LRUCache<string, string>({ max: MAX_PROBLEMS });

  constructor(options: CallersOptions) {
    this.#options = options;
  }

  /** The caller behind the header text. Throws Fault `unavailable` when its grants are not known (any more), `internal` when the text is not ours. */
  of(wire: string): Caller | Promise<Caller> {
    return this.#known.get(wire) ?? this.#read(wire);
  }

  async #read(wire: string): Promise<Caller> {
    const parsed = callerWire.safeParse(parseJson(wire));
    if (!parsed.success) throw new Fault("internal", "The tailnet half sent a caller that cannot be read");
    const { id, kind, node, login, tags, own, grants } = parsed.data;
    const caller: Caller = { kind, id, node, login, tags, own, grants: await this.#grantsOf(grants) };
    this.#known.set(wire, caller);
    this.#note(caller);
    return caller;
  }

  async #grantsOf(hash: string): Promise<readonly unknown[]> {
    if (hash === "") return [];
    const known = this.#grants.get(hash);
    if (known !== undefined) return known;
    try {
      const grants = await this.#options.grants(hash);
      this.#grants.set(hash, grants);
      return grants;
    } catch (cause) {
      throw new Fault("unavailable", "The rights of this caller are changing", {
        hint: "Try again in a second.",
        details: { retryAfterSeconds: 1 },
        cause,
      });
    }
  }

  /** Keeps the condition `grant_invalid` true for as long as some caller's newest grants are partly worth nothing. */
  #note(caller: Caller): void {
    const problem = this.#options.problems(caller)[0];
    if (problem === undefined) this.#problems.delete(caller.id);
    else this.#problems.set(caller.id, problem);
    const first = this.#problems.values().next().value;
    if (first === undefined) this.#options.conditions.clear("grant_invalid");
    else this.#options.conditions.raise("grant_invalid", first);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
