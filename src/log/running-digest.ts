// The running digest of the replicated state (replication.md 3): each command folds its outcome and every write that
// its apply made into one hash: table and values, no words of the statement, which differ between builds. Writes are
// deterministic, so equal digests mean equal states, without reading a table. What a node writes outside of apply
// (compression, its place in the raft log) does not enter it.

import { sha256Hex } from "../lib/sha256.ts";
import type { Reader, SqlValue, Writer } from "../store/store.ts";
import { readMeta } from "./meta.ts";

/** The fleet level from which on members keep a digest. Before it, builds without one take part. */
export const DIGEST_LEVEL = 3;

/** A digest, and the number of commands that it covers. Digests of one history are comparable at equal counts. */
export interface RunningDigest {
  count: number;
  /** 64 hex digits. */
  hash: string;
}

/** The digest before the first command. */
const EMPTY: RunningDigest = { count: 0, hash: "0".repeat(64) };

/** Returns the digest that a store at this level keeps; undefined below `DIGEST_LEVEL`. */
export function readDigest(reader: Reader, level: number): RunningDigest | undefined {
  if (level < DIGEST_LEVEL) return undefined;
  return parseDigest(readMeta(reader, "state_digest")) ?? EMPTY;
}

/** Returns a digest as the table `meta` and beats have it: `<count>-<hash>`. */
export function digestText({ count, hash }: RunningDigest): string {
  return `${count}-${hash}`;
}

/** Returns the digest of such a text; undefined where there is none. */
export function parseDigest(text: string | undefined): RunningDigest | undefined {
  const [, count, hash] = /^(\d{1,15})-([0-9a-f]{64})$/.exec(text ?? "") ?? [];
  return count === undefined || hash === undefined ? undefined : { count: Number(count), hash };
}

/** Collects what one command does, for the digest after it. */
export class DigestedWriter implements Writer {
  readonly #tx: Writer;
  #writes = "";

  constructor(tx: Writer) {
    this.#tx = tx;
  }

  run(sql: string, ...values: SqlValue[]): { changes: number } {
    const result = this.#tx.run(sql, ...values);
    this.#add(sql, values, `${result.changes}`);
    return result;
  }

  /** In the digest it is one write for each row. */
  insert(table: string, columns: readonly string[], rows: readonly (readonly SqlValue[])[]): void {
    this.#tx.insert(table, columns, rows);
    for (const row of rows) this.#add(`INSERT INTO ${table}`, row, "1");
  }

  get<Row>(sql: string, ...values: SqlValue[]): Row | undefined {
    const row = this.#tx.get<Row>(sql, ...values);
    if (!isRead(sql)) this.#add(sql, values, JSON.stringify(row ?? null));
    return row;
  }

  all<Row>(sql: string, ...values: SqlValue[]): Row[] {
    const rows = this.#tx.all<Row>(sql, ...values);
    if (!isRead(sql)) this.#add(sql, values, JSON.stringify(rows));
    return rows;
  }

  iterate<Row>(sql: string, ...values: SqlValue[]): Iterable<Row> {
    if (!isRead(sql)) throw new Error("apply writes with run, insert, get and all alone");
    return this.#tx.iterate<Row>(sql, ...values);
  }

  /** Returns how much was written so far, for `undone`. */
  mark(): number {
    return this.#writes.length;
  }

  /** Forgets what was written after a mark: it was undone. */
  undone(mark: number): void {
    this.#writes = this.#writes.slice(0, mark);
  }

  /** Returns the digest after this command. `outcome` is what the command returned; equal everywhere. */
  after({ count, hash }: RunningDigest, outcome: string): RunningDigest {
    return { count: count + 1, hash: sha256Hex(`${hash}\n${lengthFirst(outcome)}${this.#writes}`) };
  }

  #add(sql: string, values: readonly SqlValue[], result: string): void {
    let text = `${nameOf(sql)} ${values.length} ${result}\n`;
    for (const value of values) text += partOf(value);
    this.#writes += text;
  }
}

/** Longer values are hashed on their own, so that no long text is put together. */
const LONG = 512;

/** Returns a value without ambiguity: its type, its length where that varies, itself. */
function partOf(value: SqlValue): string {
  if (value === null) return "null\n";
  if (typeof value === "string") return lengthFirst(value.length > LONG ? sha256Hex(value) : value);
  if (value instanceof Uint8Array) return `bytes ${value.byteLength} ${sha256Hex(value)}\n`;
  return `number ${value}\n`;
}

function lengthFirst(text: string): string {
  return `text ${text.length} ${text}\n`;
}

/** Statements are constants of the source, or vary by a count of places: few, and read once. */
const names = new Map<string, string>();
const MAX_NAMES = 4096;

/**
 * Returns what a statement does to which table. Its other words are not part of the digest, so a build may change how
 * it writes the same values.
 */
function nameOf(sql: string): string {
  const known = names.get(sql);
  if (known !== undefined) return known;
  if (names.size >= MAX_NAMES) names.clear();
  const [, verb, table] =
    /\b(INSERT|REPLACE|UPDATE|DELETE)\b(?:\s+OR\s+\w+)?(?:\s+(?:INTO|FROM))?\s+(\w+)/i.exec(sql) ?? [];
  const name = verb === undefined ? "other" : `${verb} ${table}`.toLowerCase();
  names.set(sql, name);
  return name;
}

/** Whatever is no plain SELECT counts as a write: a digest of more than the writes is as good. */
function isRead(sql: string): boolean {
  return /^\s*SELECT\b/i.test(sql);
}

const KEPT = 4096;

/** The digests after the latest entries, for comparing with members that are a little behind or ahead. */
export class RecentDigests {
  readonly #byCount = new Map<number, string>();
  #newest: RunningDigest | undefined;

  constructor(newest: RunningDigest | undefined) {
    this.add(newest);
  }

  add(digest: RunningDigest | undefined): void {
    if (digest === undefined) return;
    this.#newest = digest;
    this.#byCount.set(digest.count, digest.hash);
    if (this.#byCount.size <= KEPT) return;
    for (const count of this.#byCount.keys()) {
      this.#byCount.delete(count);
      break;
    }
  }

  /** Returns the digest of the applied state; undefined below `DIGEST_LEVEL`. */
  newest(): RunningDigest | undefined {
    return this.#newest;
  }

  /** Returns the hash after `count` commands; undefined where it is not remembered. */
  at(count: number): string | undefined {
    return this.#byCount.get(count);
  }
}
