// Heads of other members that this node has acknowledged (it had the same change with the same hash), and its own. One
// per hour and member is kept in `<data>/heads.json`, outside the store, so that `audit_verify` finds a history that
// was rewritten or cut (security.md 23), also in a fleet of one.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeAtomic } from "../../lib/atomic-file.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Of the last two days one head per hour is kept, of earlier days one per day. */
const HOURLY_MS = 2 * DAY_MS;
const KEPT_MS = 90 * DAY_MS;
const MAX_HEADS = 5_000;

const head = z.object({
  /** The member that reported it; "" for this node's own, with the name "". */
  node: z.string(),
  name: z.string(),
  epoch: z.string(),
  seq: z.number().int(),
  /** Chain hash of that change, as hex. */
  hash: z.string(),
  /** When the member reported it, by this node's clock. */
  at_ms: z.number(),
});

/** The newest change of a member at one moment. */
export type AcknowledgedHead = z.infer<typeof head>;

/** Returns the heads that are kept in a data folder, the oldest first; none if the file is missing or damaged. */
export function readAcknowledgedHeads(dataDir: string): AcknowledgedHead[] {
  try {
    return z.array(head).parse(JSON.parse(readFileSync(pathOf(dataDir), "utf8")));
  } catch {
    return [];
  }
}

/** Keeps the heads of one data folder. */
export class AcknowledgedHeads {
  readonly #dataDir: string;
  #heads: AcknowledgedHead[];
  /** Hour of the newest head, by member. */
  readonly #hours = new Map<string, number>();

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
    this.#heads = readAcknowledgedHeads(dataDir);
    for (const { node, at_ms } of this.#heads) this.#hours.set(node, hourOf(at_ms));
  }

  /** Takes a head that this node has, too. The first one of each member and hour is written, atomically. */
  take(head: AcknowledgedHead): void {
    const hour = hourOf(head.at_ms);
    if (this.#hours.get(head.node) === hour) return;
    this.#hours.set(head.node, hour);
    this.#write([...this.#heads, head], head.at_ms);
  }

  /** Returns the newest head of this node's own. */
  own(): AcknowledgedHead | undefined {
    return this.#heads.findLast(({ node }) => node === "");
  }

  /** Notes this node's own head, in place of the last one of the same hour if it continues that. */
  note(head: Omit<AcknowledgedHead, "node" | "name">, continues: boolean): void {
    const last = this.own();
    const replaced = continues && last !== undefined && hourOf(last.at_ms) === hourOf(head.at_ms) ? last : undefined;
    const others = this.#heads.filter((each) => each !== replaced);
    this.#write([...others, { node: "", name: "", ...head }], head.at_ms);
  }

  #write(heads: readonly AcknowledgedHead[], nowMs: number): void {
    const kept = thinned(heads, nowMs).slice(-MAX_HEADS);
    writeAtomic(pathOf(this.#dataDir), JSON.stringify(kept));
    this.#heads = kept;
    for (const node of this.#hours.keys()) if (!kept.some((each) => each.node === node)) this.#hours.delete(node);
  }
}

function thinned(heads: readonly AcknowledgedHead[], nowMs: number): AcknowledgedHead[] {
  const days = new Set<string>();
  return heads.filter(({ node, at_ms }) => {
    const ageMs = nowMs - at_ms;
    if (ageMs < HOURLY_MS) return true;
    const day = `${node} ${Math.floor(at_ms / DAY_MS)}`;
    if (ageMs >= KEPT_MS || days.has(day)) return false;
    days.add(day);
    return true;
  });
}

function hourOf(atMs: number): number {
  return Math.floor(atMs / HOUR_MS);
}

function pathOf(dataDir: string): string {
  return join(dataDir, "heads.json");
}
