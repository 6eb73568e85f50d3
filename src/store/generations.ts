// Generations of a store: `<folder>/<n>/cairn.db`, and the pointer CURRENT (replication.md 22). A copy becomes the
// store by switching the pointer, never by a rename over a live file.

import { Database } from "bun:sqlite";
import { chmodSync, copyFileSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { flush, writeAtomic } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { ensurePrivateFolder } from "../lib/private-folder.ts";
import { type Writer, writerOf } from "./connection.ts";
import workerSource from "./copy-worker.js" with { type: "text" };
import { isDamaged, isSyncFailure } from "./damage.ts";
import { refuseDamage } from "./open.ts";
import { refuseForeignSchema, type Schema } from "./own-schema.ts";

/** Writes a copy of the store's file to `to` in a Worker, and flushes it. */
export async function writeCopy(path: string, to: string): Promise<void> {
  const url = URL.createObjectURL(new Blob([workerSource], { type: "application/javascript" }));
  const worker = new Worker(url);
  try {
    const problem = await new Promise<string>((resolve) => {
      worker.onmessage = ({ data }) => resolve(String(data));
      worker.onerror = ({ message }) => resolve(message);
      worker.postMessage({ path, to });
    });
    if (problem !== "") throw new Error(`copying ${path} to ${to}: ${problem}`);
  } finally {
    URL.revokeObjectURL(url);
    worker.terminate();
  }
  chmodSync(to, 0o600);
  flush(to);
  flush(dirname(to));
}

export interface ImportOptions {
  /** `<data>/store`. */
  folder: string;
  /** The file that a peer sent. */
  copy: string;
  schema: Schema;
  /** Checks the copy and makes it this node's, in one transaction. Where it throws, nothing has changed. */
  prepare: (tx: Writer) => void;
}

/**
 * Makes a copy the next generation of the folder, checked, prepared and durable; returns its number. Removes what an
 * earlier attempt left. Where it throws, it leaves nothing.
 */
export function importCopy({ folder, copy, schema, prepare }: ImportOptions): number {
  const now = currentGeneration(folder);
  for (const name of readdirSync(folder)) {
    if (/^[1-9][0-9]*$/.test(name) && Number(name) !== now) removeGeneration(folder, Number(name));
  }
  const path = generationPath(folder, now + 1);
  try {
    ensurePrivateFolder(dirname(path));
    // Copied, not moved: the received copy stays pending until the install is over.
    copyFileSync(copy, path);
    chmodSync(path, 0o600);
    checkAndPrepare(path, { copy, schema, prepare });
    for (const flushed of [path, dirname(path), folder]) flush(flushed);
  } catch (error) {
    removeGeneration(folder, now + 1);
    throw error;
  }
  return now + 1;
}

function checkAndPrepare(path: string, { copy, schema, prepare }: Omit<ImportOptions, "folder">): void {
  const database = new Database(path, { readwrite: true, strict: true });
  try {
    database.run("PRAGMA trusted_schema = OFF");
    refuseForeignSchema(database, {
      schema,
      what: `The copy ${copy}`,
      newerHint: "Start the version that the leader runs, or a newer one.",
      foreign: (why) => foreign(copy, why),
    });
    refuseDamage(database, copy);
    database.run("PRAGMA synchronous = FULL");
    database.run("PRAGMA secure_delete = ON");
    database.transaction(() => prepare(writerOf(database)))();
  } catch (error) {
    if (isSyncFailure(error) || !isDamaged(error)) throw error;
    throw foreign(copy, `it is damaged: ${String(error)}`);
  } finally {
    database.close();
  }
}

function foreign(copy: string, why: string): Fault {
  return new Fault("data_corrupt", `The copy ${copy} cannot be trusted: ${why}`, {
    hint: "See what wrote it; the leader makes another one.",
  });
}

/** Returns the generation that `CURRENT` names. */
export function currentGeneration(folder: string): number {
  return Number(readFileSync(join(folder, "CURRENT"), "utf8"));
}

/** Makes `CURRENT` name a generation, durably. */
export function switchGeneration(folder: string, generation: number): void {
  writeAtomic(join(folder, "CURRENT"), `${generation}\n`);
}

/** Returns the path of a generation's file. */
export function generationPath(folder: string, generation: number): string {
  return join(folder, String(generation), "cairn.db");
}

/** Removes a generation. Its file must be closed. */
export function removeGeneration(folder: string, generation: number): void {
  rmSync(join(folder, String(generation)), { recursive: true, force: true });
}
