// The files of the memory tool as contexts: an own file is private to its agent, or the caller itself, and a shared one
// is for whoever reads the space.

import { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import type { MacroSteps } from "../../../operation/define.ts";
import { isOfItsPlace, type Places } from "../places.ts";
import { titleOf } from "../shown.ts";
import { told, type VirtualPath } from "./paths.ts";

/** Most contexts below a directory that one command looks at. */
export const MAX_FILES = 10_000;
const PAGE = 500;
/** How often an edit is made again where others wrote meanwhile. */
const MAX_TRIES = 16;
/** What `context_many` takes at once. */
const MAX_WRITES = 64;

/** A file with its text. */
export interface File {
  id: string;
  etag: string;
  text: string;
}
/** A file without its text. */
export interface Entry {
  /** Below ROOT. */
  inner: string;
  id: string;
  etag: string;
  /** Bytes. */
  size: number;
}

const text = z.string().optional();
const owned = { visibility: text, owner: text, owner_agent: text };
const got = z.looseObject({
  contexts: z.array(z.looseObject({ id: z.string(), etag: z.string(), ...owned, content: z.string() })),
  cursor: z.string().optional(),
});
const listed = z.looseObject({
  contexts: z.array(z.looseObject({ id: z.string(), etag: z.string(), size: z.number(), ...owned })),
  cursor: z.string().optional(),
});

/** Where the files of a call are. */
export interface FilesAt {
  /** The beginning of their ids. */
  prefix: string;
  /** They are of one agent or caller alone. */
  isOwn: boolean;
  places: Places;
}

/** The files of one call. */
export class Files {
  readonly prefix: string;
  readonly #isOwn: boolean;
  readonly #places: Places;
  readonly #steps: MacroSteps;

  constructor(steps: MacroSteps, { prefix, isOwn, places }: FilesAt) {
    this.#steps = steps;
    this.prefix = prefix;
    this.#isOwn = isOwn;
    this.#places = places;
  }

  /** Returns the files that are there of these paths, by path. */
  async read(inners: readonly string[]): Promise<Map<string, File>> {
    const ids = inners.filter((inner) => inner !== "").map((inner) => `${this.prefix}${inner}`);
    const files = new Map<string, File>();
    for (let cursor: string | undefined; ids.length > 0; ) {
      const page = got.parse(await this.#steps.ask("context_get_many", { ids, ...(cursor && { cursor }) }));
      const contexts = page.contexts.filter((found) => isOfItsPlace(found, this.#places));
      for (const { id, etag, content: text } of contexts) files.set(id.slice(this.prefix.length), { id, etag, text });
      cursor = page.cursor;
      if (cursor === undefined) break;
    }
    return files;
  }

  /** Returns the files below a directory, at most `most` of them. Throws `invalid_input` beyond MAX_FILES contexts. */
  async list(inner: string, most = MAX_FILES): Promise<Entry[]> {
    const entries: Entry[] = [];
    let looked = 0;
    for (let cursor: string | undefined; ; ) {
      const given = { prefix: this.#below(inner), limit: PAGE };
      const page = listed.parse(await this.#steps.ask("context_list", { ...given, ...(cursor && { cursor }) }));
      const contexts = page.contexts.filter((found) => isOfItsPlace(found, this.#places));
      for (const { id, etag, size } of contexts) entries.push({ inner: id.slice(this.prefix.length), id, etag, size });
      cursor = page.cursor;
      if (cursor === undefined || entries.length >= most) return entries.slice(0, most);
      looked += page.contexts.length;
      if (looked >= MAX_FILES) throw tooMany();
    }
  }

  /** Reports whether a path is a directory: a file is below it. */
  async isDirectory(inner: string): Promise<boolean> {
    return inner === "" || (await this.list(inner, 1)).length > 0;
  }

  /** Makes a file. Throws `version_mismatch` where one is there. */
  async create(inner: string, text: string): Promise<void> {
    const { operation: _, ...write } = this.writeOf(inner, text);
    await this.#steps.ask("context_put", { ...write, if_none_match: "*" });
  }

  /**
   * Stores what `change` makes of the text of a file, again where others wrote meanwhile. Returns that text. Throws
   * what `missing` returns where there is no such file.
   */
  async edit(path: VirtualPath, missing: () => Fault, change: (text: string) => string): Promise<string> {
    for (let tries = 1; ; tries++) {
      const file = (await this.read([path.inner])).get(path.inner);
      if (file === undefined) throw missing();
      const text = change(file.text);
      if (text === file.text) return text;
      const { id, etag } = file;
      const done = await this.#steps.tryAsk("context_put", { ...plain(text), id, if_match: etag });
      if (!(done instanceof Fault)) return text;
      if ((done.code !== "version_mismatch" && done.code !== "key_reused") || tries === MAX_TRIES) throw done;
    }
  }

  /** Removes files, 64 at once. */
  async remove(files: readonly Pick<Entry, "id" | "etag">[]): Promise<void> {
    for (let at = 0; at < files.length; at += MAX_WRITES) {
      const part = files.slice(at, at + MAX_WRITES);
      await this.many(part.map(({ id, etag }) => ({ operation: "context_delete", id, if_match: etag })));
    }
  }

  /** Does several writes as one. */
  async many(writes: readonly Record<string, unknown>[]): Promise<void> {
    await this.#steps.ask("context_many", { writes });
  }

  /** Returns the write of a new file. */
  writeOf(inner: string, text: string): Record<string, unknown> {
    return {
      ...{ operation: "context_put", id: `${this.prefix}${inner}`, ...plain(text) },
      ...{ title: titleOf(inner), metadata: { kind: "note" } },
      ...(this.#isOwn ? { visibility: "private" } : {}),
    };
  }

  #below(inner: string): string {
    return inner === "" ? this.prefix : `${this.prefix}${inner}/`;
  }
}

function plain(text: string): Record<string, unknown> {
  return { content: text, content_type: "text/plain" };
}

function tooMany(): Fault {
  return told(`Error: The directory has more than ${MAX_FILES} files; name one below it.`);
}
