// Bytes of kept versions by caller and by space, and the quotas on them, checked in apply (security.md 24).

import { Fault } from "../../lib/fault.ts";
import type { Writer } from "../../store/store.ts";
import type { StampedLimits } from "./stamped-limits.ts";

type Kind = "caller" | "space";

/**
 * What every kept version counts besides its texts: its row, index entries and change. Without it, empty versions would
 * fill a disk without ever reaching a quota.
 */
const ROW_BYTES = 256;

/** Returns the bytes that a version counts for: text, title, framed tags, rows. */
export function costOf(version: { size: number; title: string; tags: string }): number {
  return version.size + labelBytes(version) + ROW_BYTES;
}

/** Returns the bytes of the title and the framed tags of a version. */
export function labelBytes({ title, tags }: { title: string; tags: string }): number {
  return Buffer.byteLength(title) + Buffer.byteLength(tags);
}

/** `costOf` as SQL over rows of `versions`. */
export const COST_SQL = `size + length(CAST(title AS BLOB)) + length(CAST(tags AS BLOB)) + ${ROW_BYTES}`;

/** Quotas for commands that none applies to: they only remove, or an admin runs them. */
export const NO_QUOTA = { callerBytes: 0, spaceBytes: 0 };

/** The bytes that one command adds and removes in one space, summed up before they are written. */
export class UsageDelta {
  readonly #bytes = new Map<string, number>();
  readonly #space: string;

  constructor(space: string) {
    this.#space = space;
  }

  /** Adds `bytes` (negative: removed) for a version by `author`. */
  add(author: string, bytes: number): void {
    if (bytes === 0) return;
    this.#bytes.set(author, (this.#bytes.get(author) ?? 0) + bytes);
  }

  /** Writes the sums. Throws `quota_exceeded` where a sum grew and is now above its quota. */
  write(tx: Writer, quota: Pick<StampedLimits, "callerBytes" | "spaceBytes">): void {
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
