// Bytes kept in the store by caller and by space, whichever feature keeps them, and the quotas on them, checked in
// apply (security.md 24). Each feature says what its rows count for. The table is in the first schema of contexts.

import { Fault } from "../lib/fault.ts";
import type { Writer } from "../store/store.ts";

type Kind = "caller" | "space";

/**
 * What every kept row counts besides its texts: itself, index entries and its change. Without it, empty ones would fill
 * a disk without ever reaching a quota.
 */
export const ROW_BYTES = 256;

/** Most bytes that one caller may have written, and that one space may hold; 0: no limit. */
export interface Quota {
  callerBytes: number;
  spaceBytes: number;
}

/** Quotas for commands that none applies to: they only remove, or an admin runs them. */
export const NO_QUOTA: Quota = { callerBytes: 0, spaceBytes: 0 };

/** The bytes that one command adds and removes in one space, summed up before they are written. */
export class UsageDelta {
  readonly #bytes = new Map<string, number>();
  readonly #space: string;

  constructor(space: string) {
    this.#space = space;
  }

  /** Adds `bytes` (negative: removed) for a row by `author`. */
  add(author: string, bytes: number): void {
    if (bytes === 0) return;
    this.#bytes.set(author, (this.#bytes.get(author) ?? 0) + bytes);
  }

  /** Writes the sums. Throws `quota_exceeded` where a sum grew and is now above its quota. */
  write(tx: Writer, quota: Quota): void {
    let total = 0;
    for (const [author, bytes] of this.#bytes) {
      total += bytes;
      addUsage(tx, { kind: "caller", name: author, bytes, limit: quota.callerBytes });
    }
    addUsage(tx, { kind: "space", name: this.#space, bytes: total, limit: quota.spaceBytes });
  }
}
interface Addition {
  kind: Kind;
  name: string;
  bytes: number;
  /** 0: none. */
  limit: number;
}

function addUsage(tx: Writer, { kind, name, bytes, limit }: Addition): void {
  if (bytes === 0) return;
  const used = tx.get<{ bytes: number }>(
    "INSERT INTO usage (kind, name, bytes) VALUES (?,?,?) " +
      "ON CONFLICT (kind, name) DO UPDATE SET bytes = bytes + excluded.bytes RETURNING bytes",
    kind,
    name,
    bytes,
  );
  if (limit === 0 || bytes < 0 || used === undefined || used.bytes <= limit) return;
  const owner = kind === "caller" ? `The caller ${name}` : `The space ${JSON.stringify(name)}`;
  throw new Fault(
    "quota_exceeded",
    `${owner} would hold ${used.bytes} bytes, history included; the quota is ${limit}`,
    {
      hint:
        "Ask an operator to purge what is not needed, or an admin to keep less history (history.max_versions, " +
        `history.keep_hours) or to raise quota.${kind}_bytes.`,
      details: { quota: kind, limit, used: used.bytes - bytes },
    },
  );
}
