// Backups of a store: a copy of its file as of one moment, with a manifest that says what it must hold, and the check
// of such a copy. Knows files, not tables.

import { Database } from "bun:sqlite";
import { chmodSync, createReadStream, existsSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { flush, renameDurably, writeAtomic } from "../lib/atomic-file.ts";
import { Fault } from "../lib/fault.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { Sha256 } from "../lib/sha256.ts";
import { type Reader, readerOf } from "./connection.ts";
import { isDamaged } from "./damage.ts";
import { APPLICATION_ID, openReadonly, refuseDamage, schemaOf } from "./open.ts";

const manifestShape = z.object({
  format: z.literal(1),
  created_at: z.string(),
  /** Number of the last migration in the file. */
  schema: z.number().int(),
  file: z.object({ name: z.literal("cairn.db"), bytes: z.number().int(), sha256: z.string() }),
  /** What the file must hold, as described by the caller, who knows its tables. */
  content: z.record(z.string(), z.union([z.string(), z.number()])),
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
  describe: Describe;
  nowMs: () => number;
}

/**
 * Copies the store, checks the copy and writes the manifest. The folder appears whole or not at all. Faults:
 * `data_exists`, `data_corrupt`, `storage_full`.
 */
export async function writeBackup({ path, to, describe, nowMs }: BackupOptions): Promise<Manifest> {
  if (existsSync(to)) throw dataExists(to, "Name a folder that is not there yet.");
  const partial = `${to}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true, mode: 0o700 });
  try {
    const file = join(partial, "cairn.db");
    vacuumInto(path, file);
    chmodSync(file, 0o600);
    flush(file);
    const { schema, content } = await inspect(file, describe);
    const manifest: Manifest = {
      format: 1,
      created_at: new Date(nowMs()).toISOString(),
      schema,
      file: { name: "cairn.db", bytes: statSync(file).size, sha256: await sha256Of(file) },
      content,
    };
    writeAtomic(join(partial, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
    renameDurably(partial, to);
    return manifest;
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw backupFault(path, to, error);
  }
}

/**
 * Checks a backup against its manifest: size, hash, every page, and its description. Faults `data_corrupt`,
 * `data_newer`.
 */
export async function verifyBackup(folder: string, describe: Describe, knownSchema: number): Promise<Manifest> {
  const manifest = readManifest(folder);
  const file = join(folder, manifest.file.name);
  if (manifest.schema > knownSchema) {
    throw new Fault(
      "data_newer",
      `The backup ${folder} has schema ${manifest.schema}; this version of cairn knows schemas up to ${knownSchema}`,
      {
        hint: "Restore it with the version that wrote it, or a newer one.",
      },
    );
  }
  const bytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes !== manifest.file.bytes) throw broken(folder, `cairn.db has ${bytes} bytes of ${manifest.file.bytes}`);
  if ((await sha256Of(file)) !== manifest.file.sha256)
    throw broken(folder, "cairn.db has another hash than the manifest says");
  // An older schema is migrated first; only then can its tables be described.
  const { schema, content } = await inspect(file, manifest.schema === knownSchema ? describe : () => manifest.content);
  const differs = Object.entries(manifest.content).find(([name, value]) => content[name] !== value);
  if (schema !== manifest.schema || differs !== undefined)
    throw broken(folder, `it holds another ${differs?.[0] ?? "schema"} than the manifest says`);
  return manifest;
}

/** Parses a manifest. Throws for any other text. */
export function parseManifest(text: string): Manifest {
  return manifestShape.parse(JSON.parse(text));
}

/** The manifest of the backup in a folder. Fault `data_corrupt`. */
export function readManifest(folder: string): Manifest {
  try {
    return parseManifest(readFileSync(join(folder, "manifest.json"), "utf8"));
  } catch (cause) {
    throw broken(folder, "its manifest.json is missing or cannot be read", cause);
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

async function inspect(file: string, describe: Describe): Promise<{ schema: number; content: Manifest["content"] }> {
  const copy = new Database(file, { readonly: true, strict: true });
  try {
    const id = copy.query<{ application_id: number }, []>("PRAGMA application_id").get()?.application_id;
    if (id !== APPLICATION_ID) throw broken(dirname(file), `cairn.db is no file of Cairn (application id ${id})`);
    refuseDamage(copy, file);
    return { schema: schemaOf(copy), content: await describe(readerOf(copy)) };
  } catch (error) {
    throw isDamaged(error) ? broken(dirname(file), String(error), error) : error;
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
  const reason = reasonOf(error);
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
