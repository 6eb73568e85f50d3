// Turns the caller header of the Go half into the Caller that the gate judges. Equal headers give the same object, so
// that the gate can cache by identity.

import { LRUCache } from "lru-cache";
import { type Caller, callerName } from "../../access/caller.ts";
import { MAX_CALLER_NAME } from "../../lib/caller-name.ts";
import { Fault } from "../../lib/fault.ts";
import type { Conditions } from "../../observe/conditions.ts";
import { caller as callerWire, type Tailnet } from "../../tailnet/index.ts";

export interface CallersOptions {
  grants: Tailnet["grants"];
  /** Returns what is wrong with the capability objects of a caller, as the gate sees it. */
  problems: (caller: Caller) => readonly string[];
  conditions: Conditions;
}

const MAX_CALLERS = 2048;
const MAX_PROBLEMS = 100;

/** The callers that the Go half has identified, one object for each state of a caller. */
export class Callers {
  readonly #options: CallersOptions;
  readonly #known = new LRUCache<string, Caller>({ max: MAX_CALLERS });
  readonly #grants = new LRUCache<string, readonly unknown[]>({ max: MAX_CALLERS });
  readonly #problems = new LRUCache<string, string>({ max: MAX_PROBLEMS });

  constructor(options: CallersOptions) {
    this.#options = options;
  }

  /**
   * Returns the caller of a header text. Fault `unavailable` if its grants are not known at the moment, `forbidden` if
   * its name is too long, `internal` if the text is not one of ours.
   */
  of(wire: string): Caller | Promise<Caller> {
    return this.#known.get(wire) ?? this.#read(wire);
  }

  async #read(wire: string): Promise<Caller> {
    const parsed = callerWire.safeParse(parseJson(wire));
    if (!parsed.success) throw new Fault("internal", "The tailnet half sent a caller that cannot be read");
    const { id, kind, node, login, tags, own, grants } = parsed.data;
    const caller: Caller = { kind, id, node, login, tags, own, grants: await this.#grantsOf(grants) };
    if (callerName(caller).length > MAX_CALLER_NAME) throw longName(caller);
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

  /**
   * Raises `grant_invalid` while the newest grants of some caller contain capability objects of which all or a part is
   * ignored.
   */
  #note(caller: Caller): void {
    const problem = this.#options.problems(caller)[0];
    if (problem === undefined) this.#problems.delete(caller.id);
    else this.#problems.set(caller.id, problem);
    const first = this.#problems.values().next().value;
    if (first === undefined) this.#options.conditions.clear("grant_invalid");
    else this.#options.conditions.raise("grant_invalid", first);
  }
}

function longName(caller: Caller): Fault {
  return new Fault(
    "forbidden",
    `The name of this caller has ${callerName(caller).length} characters; at most ${MAX_CALLER_NAME} are allowed`,
    { hint: "Use an account with a shorter login." },
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
