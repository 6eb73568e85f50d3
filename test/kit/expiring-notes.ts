// A feature that only tests know: notes that expire, by id. A note can be written again before and after its time.

import { z } from "zod";
import { KNOWN_LEVEL } from "../../src/log/level.ts";
import { isExpired, stateTimeMs } from "../../src/log/log-time.ts";
import { write } from "../../src/operation/define.ts";
import { expiresAt, expiresIn, expiring, MAX_EXPIRED } from "../../src/operation/expiring.ts";
import type { Feature } from "../../src/operation/feature.ts";
import type { Reader } from "../../src/store/store.ts";

interface Note {
  id: string;
  expires_at: number;
}

/** Writes a note; `created` says whether there was none that had not expired. */
export const notePut = write({
  name: "note_put",
  v: 1,
  title: "Write a note",
  description: "Writes a note that expires.",
  input: z.object({ id: z.string(), expires_in: expiresIn.optional() }),
  example: { id: "a/x", expires_in: 60 },
  output: z.object({ created: z.boolean(), expires_at: z.number() }),
  access: { verb: "write", spaces: ["a"] },
  target: "id",
  prepare: (input) => input,
  apply(tx, { id, expires_in }, { timeMs }) {
    const found = tx.get<Note>("SELECT * FROM notes WHERE id = ?", id);
    const before = found === undefined || isExpired(found.expires_at, timeMs) ? undefined : found;
    const until = expiresAt(expires_in, timeMs, before?.expires_at ?? 0);
    tx.run("INSERT OR REPLACE INTO notes (id, expires_at) VALUES (?,?)", id, until);
    const outcome = before === undefined ? "created" : "updated";
    return {
      output: { created: before === undefined, expires_at: until },
      changes: [{ target: id, version: 0, contentHash: "", outcome }],
    };
  },
});

/** Notes that are past their time. */
export const notesExpiring = expiring({
  name: "note_expire",
  level: KNOWN_LEVEL,
  title: "Remove expired notes",
  due: (reader) =>
    reader.get<Note>("SELECT * FROM notes WHERE expires_at > 0 ORDER BY expires_at, id LIMIT 1")?.expires_at,
  expire(tx, { timeMs }) {
    const gone = tx.all<Note>(
      "SELECT * FROM notes WHERE expires_at > 0 AND expires_at <= ? ORDER BY expires_at, id LIMIT ?",
      timeMs,
      MAX_EXPIRED,
    );
    for (const { id } of gone) tx.run("DELETE FROM notes WHERE id = ?", id);
    const changes = gone.map(({ id }) => ({ target: id, version: 0, contentHash: "", outcome: "expired" }));
    return { removed: gone.length, changes };
  },
});

/** The manifest; `id` is the next migration of the build. */
export const notesFeature = (id: number): Feature => ({
  name: "notes",
  migrations: [
    {
      id,
      level: KNOWN_LEVEL,
      sql:
        "CREATE TABLE notes (id TEXT PRIMARY KEY, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;" +
        "CREATE INDEX notes_by_expiry ON notes (expires_at) WHERE expires_at > 0;",
    },
  ],
  tables: [{ name: "notes", scope: "replicated", fork: "keep", sql: "SELECT * FROM notes ORDER BY id" }],
  operations: () => [notePut, notesExpiring.write],
  expires: [notesExpiring],
});

/** Returns the ids of the notes that are there in the state of a reader, sorted. */
export function visibleNotes(reader: Reader): string[] {
  const timeMs = stateTimeMs(reader);
  const all = reader.all<Note>("SELECT * FROM notes ORDER BY id");
  return all.filter((note) => !isExpired(note.expires_at, timeMs)).map(({ id }) => id);
}

/** Returns the ids of all rows, removed or not by the rule of reads, sorted. */
export function storedNotes(reader: Reader): string[] {
  return reader.all<Note>("SELECT * FROM notes ORDER BY id").map(({ id }) => id);
}
