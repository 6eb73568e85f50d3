// Backups of a store: a copy of its file as of one moment, with a sealed manifest that says what it must hold, and the
// check of such a copy. Knows files, not tables.

import { Database } from "bun:sqlite";
import { createHmac } from "node:crypto";
import { chmodSync, createReadStream, existsSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { flush, renameDurably, writeAtomic } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { fileReason } from "../lib/reason-of.ts";
import { Sha256 } from "../lib/sha256.ts";
import { type Reader, readerOf, type Writer, writerOf } from "./connection.ts";
import { isDamaged } from "./damage.ts";
import { openReadonly, refuseDamage } from "./open.ts";
import { refuseForeignSchema, type Schema } from "./own-schema.ts";

const NEWER_HINT = "Restore it with the version that wrote it, or a newer one.";

const manifestShape = z.object({
  format: z.literal(1),
  created_at: z.string(),
  /** Number of the last migration in the file. */
  schema: z.number().int(),
  file: z.object({ name: z.literal("cairn.db"), bytes: z.number().int(), sha256: z.string() }),
  /** What the file must hold, as described by the caller, who knows its tables. */
  content: z.record(z.string(), z.union([z.string(), z.number()])),
  /** HMAC-SHA-256 (hex) of everything above under a key of the fleet; missing where the fleet had no key. */
  seal: z.string().optional(),
});

/** Returns the manifest of the backup in a folder. Fault `data_corrupt`. */
export type Manifest = z.infer<typeof manifestShape>;

/**
 * Describes a store, such as its position and digest; equal for equal content. Throws a Fault for a store that
 * contradicts itself.
 */
export type Describe = (reader: Reader) => Manifest["content"] | Promise<Manifest["content"]>;

export interface BackupOptions {
  /** Path of the store's file. A node may have it open. */
  path: string;
  /** Folder of the backup. It must not exist yet. */
  to: string;
  schema: Schema;
  describe: Describe;
  /** Removes from the copy what must not leave the node. Returns the key for the seal (hex); undefined: no seal. */
  takeKey: (tx: Writer) => string | undefined;
  nowMs: () => number;
}

/**
 * Copies the store, checks the copy and writes the manifest. The folder appears whole or not at all. Faults:
 * `data_exists`, `data_corrupt`, `storage_full`.
 */
export async function writeBackup(options: BackupOptions): Promise<Manifest> {
  const { path, to, schema: ours, describe, takeKey, nowMs } = options;
  if (existsSync(to)) throw dataExists(to, "Name a folder that is not there yet.");
  const partial = `${to}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true, mode: 0o700 });
  try {
    const file = join(partial, "cairn.db");
    vacuumInto(path, file);
    chmodSync(file, 0o600);
    const key = withoutSecrets(file, takeKey);
    flush(file);
    const { schema, content } = await inspect(file, ours, describe);
    const manifest: Manifest = {
      format: 1,
      created_at: new Date(nowMs()).toISOString(),
      schema,
      file: { name: "cairn.db", bytes: statSync(file).size, sha256: await sha256Of(file) },
      content,
    };
    if (key !== undefined) manifest.seal = sealOf(manifest, key);
    writeAtomic(join(partial, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
    renameDurably(partial, to);
    return manifest;
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw backupFault(path, to, error);
  }
}

export interface VerifyOptions {
  folder: string;
  schema: Schema;
  describe: Describe;
  /** Returns the key (hex) for a backup with this content; undefined: there is none, and the seal is not checked. */
  keyFor: (content: Manifest["content"]) => string | undefined;
}

/** The result of a check. */
export interface VerifiedBackup {
  manifest: Manifest;
  /** Whether the manifest was checked under a key. Without one it may be made by anyone who can write files. */
  sealed: boolean;
}

/**
 * Checks a backup: its schema, which must be exactly ours, its seal if a key is known, and against its manifest size,
 * hash, every page and description. Faults `data_corrupt`, `data_newer`.
 */
export async function verifyBackup(options: VerifyOptions): Promise<VerifiedBackup> {
  const { folder, schema: ours, describe, keyFor } = options;
  const manifest = readManifest(folder);
  const file = join(folder, manifest.file.name);
  const known = ours.migrations.length;
  if (manifest.schema > known) {
    throw new Fault(
      "data_newer",
      `The backup ${folder} has schema ${manifest.schema}; this version of cairn knows schemas up to ${known}`,
      { hint: NEWER_HINT },
    );
  }
  const key = keyFor(manifest.content);
  if (key !== undefined) checkSeal(folder, manifest, key);
  const bytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes !== manifest.file.bytes) throw broken(folder, `cairn.db has ${bytes} bytes of ${manifest.file.bytes}`);
  if ((await sha256Of(file)) !== manifest.file.sha256)
    throw broken(folder, "cairn.db has another hash than the manifest says");
  const { schema, content } = await inspect(file, ours, describe);
  const differs = Object.entries(manifest.content).find(([name, value]) => content[name] !== value);
  if (schema !== manifest.schema || differs !== undefined)
    throw broken(folder, `it holds another ${differs?.[0] ?? "schema"} than the manifest says`);
  return { manifest, sealed: key !== undefined };
}

function checkSeal(folder: string, manifest: Manifest, key: string): void {
  if (manifest.seal === undefined)
    throw new Fault("data_corrupt", `The backup ${folder} cannot be trusted: its manifest has no seal`, {
      hint: "Use another backup. One that is older than the key of its fleet can be restored into a data folder of its own (--data).",
    });
  if (manifest.seal !== sealOf(manifest, key))
    throw broken(folder, "its manifest was not written by a member of its fleet, or was changed");
}

/** Returns the HMAC over the fields of the manifest, in an order that does not depend on the file. */
function sealOf({ format, created_at, schema, file, content }: Manifest, key: string): string {
  const fields = [format, created_at, schema, file.name, file.bytes, file.sha256, Object.entries(content).sort()];
  return createHmac("sha256", Buffer.from(key, "hex")).update(JSON.stringify(fields)).digest("hex");
}

/** Parses a manifest. Throws for any other text. */
export function parseManifest(text: string): Manifest {
  return manifestShape.parse(JSON.parse(text));
}

/** The manifest of the backup in a folder. Faults `not_found` where there is none, `data_corrupt`. */
export function readManifest(folder: string): Manifest {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found === undefined || !existsSync(join(folder, "manifest.json"))) {
    const what = found === undefined ? "is not there" : "is no backup: there is no manifest.json in it";
    throw new Fault("not_found", `${folder} ${what}`, {
      hint: "Name a folder that cairn backup made; cairn backup list shows those of a running node.",
    });
  }
  try {
    return parseManifest(readFileSync(join(folder, "manifest.json"), "utf8"));
  } catch (cause) {
    throw broken(folder, "its manifest.json cannot be read", cause);
  }
}

/** Writes a new file without free pages, of one consistent state. Writers are not held up. */
function vacuumInto(path: string, file: string): void {
  const source = openReadonly(path);
  try {
    source.run("PRAGMA query_only = OFF");
    source.run("VACUUM INTO ?", [file]);
  } finally {
    source.close();
  }
}

/** Runs `takeKey` over a copy that no one else has open. What it deletes is overwritten. */
function withoutSecrets(file: string, takeKey: BackupOptions["takeKey"]): string | undefined {
  const copy = new Database(file, { readwrite: true, strict: true });
  try {
    for (const pragma of ["trusted_schema = OFF", "secure_delete = ON", "journal_mode = MEMORY"])
      copy.run(`PRAGMA ${pragma}`);
    return copy.transaction(() => takeKey(writerOf(copy)))();
  } finally {
    copy.close();
  }
}

async function inspect(
  file: string,
  schema: Schema,
  describe: Describe,
): Promise<{ schema: number; content: Manifest["content"] }> {
  const folder = dirname(file);
  const copy = openReadonly(file);
  try {
    const found = refuseForeignSchema(copy, {
      schema,
      what: `The backup ${folder}`,
      newerHint: NEWER_HINT,
      foreign: (why) => broken(folder, `cairn.db is not as Cairn makes it: ${why}`),
    });
    refuseDamage(copy, file);
    return { schema: found, content: await describe(readerOf(copy)) };
  } catch (error) {
    throw isDamaged(error) ? broken(folder, String(error), error) : error;
  } finally {
    copy.close();
  }
}

async function sha256Of(file: string): Promise<string> {
  const hash = new Sha256();
  for await (const chunk of createReadStream(file)) hash.update(chunk as Uint8Array);
  return hash.hex();
}

/** Returns the Fault for a path that exists already and is never overwritten. */
export function dataExists(path: string, hint: string): Fault {
  return new Fault("data_exists", `${path} is there already; nothing was changed`, { hint });
}

function broken(folder: string, why: string, cause?: unknown): Fault {
  return new Fault("data_corrupt", `The backup ${folder} cannot be trusted: ${why}`, {
    hint: "Use another backup; this one was damaged or changed after it was made.",
    ...(cause === undefined ? {} : { cause }),
  });
}

function backupFault(path: string, to: string, error: unknown): unknown {
  if (error instanceof Fault) return error;
  const reason = fileReason(error);
  if (isDamaged(error))
    return new Fault("data_corrupt", `The store ${path} cannot be copied: ${reason}`, {
      hint: "Restore an earlier backup.",
      cause: error,
    });
  const full = /ENOSPC|full/.test(reason);
  return new Fault(full ? "storage_full" : "data_unsafe", `The backup ${to} cannot be written: ${reason}`, {
    hint: full ? "Free space on that disk, or name another place." : "See that the folder above it is writable.",
    cause: error,
  });
}
