// Bounds of the endpoint, and counts of what each owner holds open, so that one caller uses up only its own share.

import { type Caller, callerName } from "../access/caller.ts";

/** Time between keep-alives of quiet streams and of waits, in ms: proxies and clients give up after 20 s or more. */
export const KEEP_ALIVE_MS = 10_000;

/** Most characters of a document in one answer, unless the call asks for more: models have room for not much more. */
export const MAX_DOCUMENT_CHARS = 60_000;

/** Room for a part of a document as JSON, in characters; Claude Code puts results over 50,000 away otherwise. */
export const MAX_RESULT_CHARS = 3 * MAX_DOCUMENT_CHARS;

/** Above this an answer is sent once, as text, which every client passes on to its model. */
export const MAX_TWICE_BYTES = 8 * 1024;

/**
 * Returns the owner of a session or stream: the device and the user or node it is seen as. Another user of the same
 * device is another owner.
 */
export function ownerOf(caller: Caller): string {
  return JSON.stringify([caller.kind, caller.id, callerName(caller)]);
}

/** Counts by owner; owners with a count of 0 take no memory. */
export class PerOwner {
  readonly #counts = new Map<string, number>();

  count(owner: string): number {
    return this.#counts.get(owner) ?? 0;
  }

  add(owner: string): void {
    this.#counts.set(owner, this.count(owner) + 1);
  }

  remove(owner: string): void {
    const left = this.count(owner) - 1;
    if (left > 0) this.#counts.set(owner, left);
    else this.#counts.delete(owner);
  }

  /** Returns the owner with the highest count. */
  greatest(): string | undefined {
    let found: string | undefined;
    for (const [owner, count] of this.#counts) if (found === undefined || count > this.count(found)) found = owner;
    return found;
  }
}
