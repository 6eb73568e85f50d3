// Bytes of kept versions by caller and by space, and the quotas over them, judged in apply (security.md 24).

import { Fault } from "../../lib/fault.ts";
import type { Writer } from "../../store/store.ts";
import type { Keep } from "./history-limits.ts";

type Kind = "caller" | "space";

/** What every kept version counts besides its texts: its rows, its indexes and its change. Without it, empty versions would fill a disk for nothing. */
const ROW_BYTES = 256;

/** Bytes a version counts for: its text, its title, its framed tags and its rows. */
export function costOf(version: { size: number; title: string; tags: string }): number {
  return version.size + wordsOf(version) + ROW_BYTES;
}

/** Bytes of the title and tags of a version. */
export function wordsOf({ title, tags }: { title: string; tags: string }): number {
  return Buffer.byteLength(title) + Buffer.byteLength(tags);
}

/** `costOf` as SQL over rows of versions. */
export const COST_SQL = `size + length(CAST(title AS BLOB)) + length(CAST(tags AS BLOB)) + ${ROW_BYTES}`;

/** What one command adds and removes, until it is booked as a whole. */
export class UsageChange {
  readonly #bytes = new Map<string, number>();
  readonly #space: string;

  constructor(space: string) {
    this.#space = space;
  }

  /** Books `bytes` (negative: removed) of a version by `author`. */
  add(author: string, bytes: number): void {
    if (bytes === 0) return;
    this.#bytes.set(author, (this.#bytes.get(author) ?? 0) + bytes);
  }

  /** Writes the sums; throws Fault `quota_exceeded` where one grew above its quota. */
  book(tx: Writer, keep: Pick<Keep, "callerBytes" | "spaceBytes">): void {
    let total = 0;
    for (const [author, bytes] of this.#bytes) {
      total += bytes;
      book(tx, "caller", author, bytes, keep.callerBytes);
    }
    book(tx, "space", this.#space, total, keep.spaceBytes);
  }
}

/** No quota, for what only removes or belongs to an admin. */
export const UNLIMITED = { callerBytes: 0, spaceBytes: 0 };

function book(tx: Writer, kind: Kind, name: string, bytes: number, limit: number): void {
  if (bytes === 0) return;
  const used = tx.get<{ bytes: number }>(
    "INSERT INTO usage (kind, name, bytes) VALUES (?,?,?) ON CONFLICT (kind, name) DO UPDATE SET bytes = bytes + excluded.bytes RETURNING bytes",
    kind,
    name,
    bytes,
  );
  if (limit === 0 || bytes < 0 || used === undefined || used.bytes <= limit) return;
  const who = kind === "caller" ? `The caller ${name}` : `The space ${JSON.stringify(name)}`;
  throw new Fault("quota_exceeded", `${who} would hold ${used.bytes} bytes with their history; the quota is ${limit}`, {
    hint: `Let an operator purge what is not needed, keep less history, or raise quota.${kind}_bytes on the node.`,
    details: { quota: kind, limit, used: used.bytes - bytes },
  });
}
