// A node with the operations on contexts that syncs and imports ask for, in memory: versions, etags, conditions.

import type { NodeCalls } from "../../src/folder/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { sha256Hex } from "../../src/lib/sha256.ts";

export interface StoredNote {
  content: string;
  content_type: string;
  title: string;
  tags: string[];
  metadata: Record<string, unknown>;
  deleted?: true;
}

type Input = Readonly<Record<string, unknown>>;

export class NotesNode implements NodeCalls {
  readonly versions = new Map<string, StoredNote[]>();
  epoch = "e1";
  seq = 0;
  /** Called before each operation; what it throws is what the call rejects with. */
  before: (operation: string, input: Input) => void = () => {};

  position(): string {
    return `${this.epoch}-${this.seq}`;
  }

  async ask(operation: string, input: Input): Promise<Record<string, unknown>> {
    await Promise.resolve();
    this.before(operation, input);
    switch (operation) {
      case "context_list":
        return this.#list(input);
      case "context_metadata":
      case "context_get":
        return this.#get(operation, input);
      case "context_put":
      case "context_delete":
        return this.#write(operation, input);
      case "context_many":
        return this.#many(input);
      default:
        throw new Error(`the test asks for ${operation}`);
    }
  }

  /** Writes a note as somebody else. */
  put(id: string, content: string, more: Partial<StoredNote> = {}): void {
    this.#append(id, { content, content_type: "text/markdown", title: "", tags: [], metadata: {}, ...more });
  }

  remove(id: string): void {
    const last = this.newest(id);
    if (last !== undefined) this.#append(id, { ...last, content: "", deleted: true });
  }

  /** The newest version; undefined where it is a deletion, or there is none. */
  newest(id: string): StoredNote | undefined {
    const last = this.versions.get(id)?.at(-1);
    return last?.deleted === true ? undefined : last;
  }

  #append(id: string, note: StoredNote): void {
    this.versions.set(id, [...(this.versions.get(id) ?? []), note]);
    this.seq += 1;
  }

  #etag(id: string, version = this.versions.get(id)?.length ?? 0): string {
    return `${version}-${sha256Hex(this.versions.get(id)?.[version - 1]?.content ?? "").slice(0, 12)}`;
  }

  #at(id: string, version: number): StoredNote {
    const found = this.versions.get(id)?.[version - 1];
    if (found === undefined) throw new Error(`the test asks for version ${version} of ${id}`);
    return found;
  }

  #shown(id: string, version = this.versions.get(id)?.length ?? 0): Record<string, unknown> {
    const { deleted: _, ...note } = this.#at(id, version);
    return { id, version, etag: this.#etag(id, version), ...note };
  }

  #list({ prefix, cursor, limit }: Input) {
    const after = typeof cursor === "string" ? cursor : "";
    const ids = [...this.versions.keys()].filter((id) => id.startsWith(String(prefix)) && id > after).sort();
    const there = ids.filter((id) => this.newest(id) !== undefined);
    const page = there.slice(0, Number(limit));
    return {
      contexts: page.map((id) => this.#shown(id)),
      ...(there.length > page.length ? { cursor: page.at(-1) } : {}),
    };
  }

  #get(operation: string, { id, version }: Input) {
    const key = String(id);
    const known = this.versions.get(key);
    if (known === undefined) throw new Fault("not_found", `there is no ${key}`);
    const wanted = known[Number(version ?? known.length) - 1];
    if (wanted === undefined) throw new Fault("not_found", `${key} has no version ${version}`);
    if (wanted.deleted !== true) return this.#shown(key, Number(version ?? known.length));
    if (operation === "context_metadata") return { id: key, deleted: true };
    throw new Fault("deleted", `${key} is deleted`);
  }

  #check(id: string, { if_match: match, if_none_match: none }: Input): void {
    const current = this.newest(id) === undefined ? undefined : this.#etag(id);
    if (match !== undefined && match !== current) throw new Fault("version_mismatch", `${id} is ${current} now`);
    if (none !== undefined && current !== undefined) throw new Fault("version_mismatch", `${id} exists`);
  }

  #write(operation: string, input: Input): Record<string, unknown> {
    const id = String(input["id"]);
    if (operation === "context_delete" && this.newest(id) === undefined) throw new Fault("deleted", `${id} is deleted`);
    this.#check(id, input);
    if (operation === "context_delete") this.remove(id);
    else {
      const before = this.newest(id);
      const {
        content,
        content_type,
        title = before?.title ?? "",
        tags = before?.tags ?? [],
        metadata = before?.metadata ?? {},
      } = input;
      this.#append(id, { content, content_type, title, tags, metadata } as StoredNote);
    }
    return { id, version: this.versions.get(id)?.length, etag: this.#etag(id), created: false };
  }

  #many({ writes }: Input) {
    const results = (writes as Input[]).map((write) => {
      const id = String(write["id"]);
      if (write["operation"] !== "context_restore") return this.#write(String(write["operation"]), write);
      const { content, content_type, title, tags, metadata } = this.#at(id, Number(write["version"]));
      return this.#write("context_put", { id, content, content_type, title, tags, metadata });
    });
    return { results };
  }
}
