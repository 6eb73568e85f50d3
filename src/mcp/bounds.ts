// Counts what each caller holds open, and says whose it is, so that one caller fills only its own share.

import { type Caller, callerName } from "../access/caller.ts";

/** Signs of life on quiet streams and in waits, in ms: proxies and clients give up after 20 s and more. */
export const KEEP_ALIVE_MS = 10_000;

/** Largest body of one POST in bytes: a document of 4 MiB as a JSON string, with what stands around it. */
export const MAX_BODY_BYTES = 10 * 1024 * 1024;

/** Whose a session or stream is: the device and the user or node it is seen as. Another user on the same device is somebody else, and so is a connection that asked to read only. */
export function ownerOf(caller: Caller): string {
  return JSON.stringify([caller.kind, caller.id, callerName(caller), caller.readOnly === true]);
}

/** Numbers by owner, without entries for nothing. */
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

  /** The owner who holds most. */
  greatest(): string | undefined {
    let found: string | undefined;
    for (const [owner, count] of this.#counts) if (found === undefined || count > this.count(found)) found = owner;
    return found;
  }
}
