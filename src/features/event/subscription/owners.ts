// Who owns a subscription, as the tailnet shows that caller now: found by its name, kept for a few seconds, and judged
// by the gate at each event. The right is that to read the events of the space.

import { LRUCache } from "lru-cache";
import type { Access } from "../../../access/access.ts";
import type { Caller } from "../../../access/caller.ts";
import type { FindCallers, NamedCaller } from "../../../operation/node-parts.ts";

/** How long what the tailnet showed is used, in ms: revocation reaches deliveries so much later at most. */
const KEPT_MS = 2000;
const MAX_KEPT = 1000;
/** The operation whose right a delivery needs. */
const READ = "event_wait";

interface Found {
  atMs: number;
  callers: readonly NamedCaller[];
}

/** The owners of subscriptions. */
export class Owners {
  readonly #access: Access;
  readonly #find: FindCallers;
  readonly #nowMs: () => number;
  readonly #kept = new LRUCache<string, Found>({ max: MAX_KEPT });

  constructor(access: Access, find: FindCallers, nowMs: () => number) {
    this.#access = access;
    this.#find = find;
    this.#nowMs = nowMs;
  }

  /** Reports whether the owner may read events of a space now; `unknown` where no device of it is seen. */
  async may(name: string, space: string, signal: AbortSignal): Promise<"yes" | "no" | "unknown"> {
    const callers = await this.find(name, signal);
    if (callers.length === 0) return "unknown";
    if (this.#permitted(callers, space) !== undefined) return "yes";
    // Rights by settings and policy file are known without a device; those of the tailnet are not.
    return callers.every(({ caller }) => caller.id === "unseen") ? "unknown" : "no";
  }

  /** Returns the caller as whom the owner acts in a space; undefined where it may not, or is not seen. */
  async caller(name: string, space: string, signal: AbortSignal): Promise<Caller | undefined> {
    return this.#permitted(await this.find(name, signal), space);
  }

  /** Returns the callers of a name, as they were seen a few seconds ago at most. */
  async find(name: string, signal: AbortSignal): Promise<readonly NamedCaller[]> {
    const kept = this.#kept.get(name);
    const nowMs = this.#nowMs();
    // A clock that was set back makes nothing younger.
    if (kept !== undefined && nowMs >= kept.atMs && nowMs - kept.atMs < KEPT_MS) return kept.callers;
    const callers = isLocal(name) ? [local(name)] : await this.#find(name, signal);
    this.#kept.set(name, { atMs: nowMs, callers });
    return callers;
  }

  #permitted(callers: readonly NamedCaller[], space: string): Caller | undefined {
    const question = { verb: "read", operation: READ, space } as const;
    return callers.find(({ caller }) => this.#access.permits(caller, question))?.caller;
  }
}

/** The user of a member's machine, here or on another one: no tailnet shows it. */
function isLocal(name: string): boolean {
  return name === "local" || name.startsWith("local:") || name.startsWith("local@");
}

function local(id: string): NamedCaller {
  const caller: Caller = { kind: "local", id, node: "", login: "", tags: [], own: false, grants: [] };
  return { caller, note: "" };
}
