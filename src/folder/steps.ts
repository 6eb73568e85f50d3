// The steps of a sync, one note each. Every write has the etag of what was compared, and every file is as it was seen:
// what changed meanwhile is refused, and the next pass decides again.

import { join } from "node:path";
import { Fault } from "../lib/fault.ts";
import { changed, type Files } from "./files.ts";
import type { NodeCalls } from "./node-calls.ts";
import { composeNote, digestOf, isTextType, type Note, parseNote } from "./note.ts";
import { readText } from "./read-file.ts";
import { type Listed, noteOf, type Remote } from "./remote.ts";
import type { Conflict } from "./report.ts";
import { isSameSeen, type Seen, seenAt } from "./scan.ts";
import type { SyncState } from "./state.ts";

/** Which text a conflict leaves in the file; the other one is a version of the context. */
export type Prefer = "store" | "folder";

/** A file whose last change is older than this when it was looked at cannot change again without a trace, in ms. */
const SETTLED_MS = 100;

/** A file as the pass saw it. */
export interface Local {
  path: string;
  seen: Seen;
  digest: string;
}

/** What the steps work on. */
export interface StepParts {
  node: NodeCalls;
  remote: Remote;
  files: Files;
  state: SyncState;
  signal: AbortSignal;
}

/** The steps. Each records in state and remote view what it has done, and throws a Fault where it could not. */
export class Steps {
  readonly #parts: StepParts;

  constructor(parts: StepParts) {
    this.#parts = parts;
  }

  /** Remembers that file and context are the same. */
  adopt(id: string, { path, seen, digest }: Local, { version, etag }: Pick<Listed, "version" | "etag">): void {
    const settled = Date.now() - Number(BigInt(seen.mtime) / 1_000_000n) > SETTLED_MS;
    this.#parts.state.set(id, { path, version, etag, digest, seen, settled });
  }

  /** Writes the file as a new context, or as the next version of `there`. Returns a remark about its front matter. */
  async push(id: string, local: Local, there: Listed | undefined): Promise<string | undefined> {
    const { note, remark, text } = await this.#read(local);
    const condition = there === undefined ? { if_none_match: "*" } : { if_match: there.etag };
    const put = { id, ...inputOf(note, there), ...condition };
    const written = writtenOf(await this.#parts.node.ask("context_put", put));
    this.#wrote(id, local, { note, text }, written);
    return remark;
  }

  /** Writes the newest version to a file. `expected`: the file that is there; undefined: none. */
  async pull(id: string, path: string, expected: Seen | undefined): Promise<void> {
    const like = expected === undefined ? "" : (await this.#readAt(path, expected)).text;
    const { note, version, etag } = await this.#get(id);
    this.#write(id, { path, expected, like }, note, { version, etag });
  }

  /** Deletes the context of a file that is gone. */
  async deleteThere(id: string, path: string, { etag }: Listed): Promise<void> {
    const { node, remote, files, state } = this.#parts;
    if (files.isThere(path)) throw changed();
    try {
      await node.ask("context_delete", { id, if_match: etag });
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== "deleted") throw error;
    }
    remote.listed.delete(id);
    state.delete(id);
  }

  /** Removes the file of a context that was deleted, once the node has said that it was. */
  async deleteHere(id: string, { path, seen }: Local): Promise<void> {
    const { remote, files, state } = this.#parts;
    const found = await remote.look(id);
    if (!(found instanceof Fault)) {
      remote.listed.set(id, found);
      throw changed();
    }
    if (found.code === "not_found") {
      throw new Fault("not_found", `${id} cannot be read any more, and was not deleted`, {
        hint: "Ask for the right to read it: cairn access explain. Or move the file out of the folder.",
      });
    }
    files.remove(path, seen);
    state.delete(id);
  }

  /**
   * Keeps both texts: that of the folder becomes a version of the context. With `store` the earlier text is the newest
   * again, and in the file.
   */
  async resolve(id: string, local: Local, there: Listed, prefer: Prefer): Promise<Conflict> {
    const { node } = this.#parts;
    const about = { path: local.path, id, kept: prefer };
    if (prefer === "folder") {
      await this.push(id, local, there);
      return { ...about, version: there.version };
    }
    const { note, text } = await this.#read(local);
    const theirs = await this.#get(id);
    if (theirs.etag !== there.etag) throw changed();
    const kept = await this.#versionOf(id, there.version - 1, note);
    if (kept !== undefined) {
      this.#write(id, { path: local.path, expected: local.seen, like: text }, theirs.note, there);
      return { ...about, version: kept };
    }
    const writes = [
      { operation: "context_put", id, ...inputOf(note, there), if_match: there.etag },
      { operation: "context_restore", id, version: there.version },
    ];
    const { results } = await node.ask("context_many", { writes });
    const [ours, again] = (results as Record<string, unknown>[]).map(writtenOf);
    if (ours === undefined || again === undefined) throw new Error("context_many returned fewer results than writes");
    // The file is replaced only once its text can be read from the store.
    if ((await this.#versionOf(id, ours.version, note)) === undefined) {
      throw new Fault("purged", `the store keeps no earlier versions of ${id}, so the file was not replaced`, {
        hint: "Copy the file elsewhere, then run it again; or run it with --prefer folder.",
      });
    }
    this.#write(id, { path: local.path, expected: local.seen, like: text }, theirs.note, again);
    return { ...about, version: ours.version };
  }

  /** Returns the number of a version if it has this note. */
  async #versionOf(id: string, version: number, note: Note): Promise<number | undefined> {
    if (version < 1) return undefined;
    try {
      const got = await this.#parts.node.ask("context_get", { id, version, format: "text" });
      return digestOf(noteOf(got)) === digestOf(note) ? version : undefined;
    } catch (error) {
      if (error instanceof Fault && ["not_found", "deleted", "purged", "below_floor"].includes(error.code))
        return undefined;
      throw error;
    }
  }

  async #get(id: string): Promise<{ note: Note; version: number; etag: string }> {
    const got = await this.#parts.node.ask("context_get", { id, format: "text" });
    const note = noteOf(got);
    if (!isTextType(note.contentType)) throw changed();
    return { note, ...writtenOf(got) };
  }

  /** Reads a file again, for its text. Throws where it is not the one that was compared. */
  async #read({ path, seen, digest }: Local): Promise<{ note: Note; text: string; remark?: string }> {
    const { text } = await this.#readAt(path, seen);
    const { note, remark } = parseNote(text);
    if (digestOf(note) !== digest) throw changed();
    return { note, text, ...(remark === undefined ? {} : { remark }) };
  }

  async #readAt(path: string, seen: Seen): Promise<{ text: string }> {
    const read = await readText(this.#parts.files.root, path, this.#parts.signal);
    if ("why" in read) throw new Fault("invalid_input", read.why, { hint: read.hint });
    if (!isSameSeen(read.seen, seen)) throw changed();
    return read;
  }

  /** Records a version that was written from a file. A file that changed since is looked at by the next pass. */
  #wrote(id: string, local: Local, { note }: { note: Note; text: string }, written: { version: number; etag: string }) {
    const { remote, state, files } = this.#parts;
    remote.listed.set(id, listedOf(note, written));
    const now = seenAt(join(files.root, local.path));
    if (isSameSeen(now, local.seen)) this.adopt(id, local, written);
    else state.set(id, { ...local, ...written, settled: false });
  }

  /** Writes a note to its file and records it. */
  #write(
    id: string,
    { path, expected, like }: { path: string; expected: Seen | undefined; like: string },
    note: Note,
    { version, etag }: { version: number; etag: string },
  ): void {
    const seen = this.#parts.files.write(path, composeNote(note, like), expected);
    this.#parts.remote.listed.set(id, listedOf(note, { version, etag }));
    this.adopt(id, { path, seen, digest: digestOf(note) }, { version, etag });
  }
}

function listedOf(note: Note, { version, etag }: { version: number; etag: string }): Listed {
  const hasMetadata = Object.keys(note.metadata).length > 0;
  return { version, etag, contentType: note.contentType, digest: digestOf(note), hasMetadata };
}

/** Returns the arguments of a write. Metadata needs a fleet level: it is named only where there is some. */
function inputOf(
  { body, contentType, title, tags, metadata }: Note,
  there: Listed | undefined,
): Record<string, unknown> {
  const hasMetadata = Object.keys(metadata).length > 0 || there?.hasMetadata === true;
  return { content: body, content_type: contentType, title, tags, ...(hasMetadata ? { metadata } : {}) };
}

function writtenOf({ version, etag }: Readonly<Record<string, unknown>>): { version: number; etag: string } {
  return { version: Number(version), etag: String(etag) };
}
