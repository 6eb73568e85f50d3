// Generations of a store: `<folder>/<n>/cairn.db` and the pointer CURRENT (replication.md 22). A copy becomes the store by one switch of the pointer, never by a rename over a live file.

import { Database } from "bun:sqlite";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { ensurePrivateFolder } from "../lib/private-folder.ts";
import { sync } from "./backup.ts";
import workerSource from "./copy-worker.js" with { type: "text" };
import { APPLICATION_ID, refuseDamage } from "./open.ts";
import { type Writer, writerOf } from "./store.ts";

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
  sync(to);
  sync(dirname(to));
}

/** Brings the file `copy` into the next generation of `folder`, checked, prepared and durable; answers its number. What an earlier try left is removed. */
export function bringCopy(folder: string, copy: string, prepare: (tx: Writer) => void): number {
  const now = Number(readFileSync(join(folder, "CURRENT"), "utf8"));
  for (const name of readdirSync(folder)) {
    if (/^[1-9][0-9]*$/.test(name) && Number(name) > now) rmSync(join(folder, name), { recursive: true, force: true });
  }
  const home = join(folder, String(now + 1));
  ensurePrivateFolder(home);
  const path = join(home, "cairn.db");
  // Copied, not moved: raft's record names the copy until the install is over.
  copyFileSync(copy, path);
  const database = new Database(path, { readwrite: true, strict: true });
  try {
    const id = database.query<{ application_id: number }, []>("PRAGMA application_id").get()?.application_id;
    if (id !== APPLICATION_ID) throw new Error(`the copy ${copy} is no file of Cairn (application id ${id})`);
    refuseDamage(database, copy);
    database.run("PRAGMA synchronous = FULL");
    database.transaction(() => prepare(writerOf(database)))();
  } finally {
    database.close();
  }
  for (const flushed of [path, home, folder]) sync(flushed);
  return now + 1;
}

/** Has `CURRENT` name that generation, durable. */
export function switchTo(folder: string, generation: number): void {
  const pointer = join(folder, "CURRENT");
  writeFileSync(`${pointer}.new`, `${generation}\n`, { mode: 0o600 });
  sync(`${pointer}.new`);
  renameSync(`${pointer}.new`, pointer);
  sync(folder);
}

/** Removes the generation of a closed file. */
export function removeGeneration(path: string): void {
  if (existsSync(path)) rmSync(dirname(path), { recursive: true, force: true });
}
