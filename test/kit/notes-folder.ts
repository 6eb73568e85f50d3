// A folder of Markdown that is synced with a node in memory, with a state of its own.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { FolderSync, type Report, type SyncOptions, SyncState } from "../../src/folder/index.ts";
import type { NotesNode } from "./notes-node.ts";
import { temporaryFolder } from "./temporary.ts";

export const PREFIX = "team/wiki";
export const id = (name: string) => `${PREFIX}/${name}`;

/** The texts of all versions of a note. */
export const textsOf = (node: NotesNode, name: string) =>
  (node.versions.get(id(name)) ?? []).map(({ content }) => content);

export class NotesFolder {
  readonly root = temporaryFolder();
  readonly #states = temporaryFolder();
  readonly #node: NotesNode;

  constructor(node: NotesNode) {
    this.#node = node;
  }

  async with<T>(options: Partial<SyncOptions>, act: (sync: FolderSync) => Promise<T>): Promise<T> {
    const state = SyncState.open(this.#states, this.root, PREFIX, "test");
    try {
      return await act(
        new FolderSync({
          ...{ root: this.root, prefix: PREFIX, node: this.#node, state, signal: new AbortController().signal },
          ...{ dryRun: false, deleteAll: false, prefer: "store", foldsCase: false, deleteAfterMs: 0, ...options },
        }),
      );
    } finally {
      state.close();
    }
  }

  sync(options: Partial<SyncOptions> = {}): Promise<Report> {
    return this.with(options, (sync) => sync.run());
  }

  write(path: string, text: string | Uint8Array): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), text);
  }

  read(path: string): string | undefined {
    return existsSync(join(this.root, path)) ? readFileSync(join(this.root, path), "utf8") : undefined;
  }

  remove(path: string): void {
    rmSync(join(this.root, path), { force: true, recursive: true });
  }

  files(): Record<string, string> {
    const names = readdirSync(this.root, { recursive: true }).map(String).sort();
    return Object.fromEntries(
      names.flatMap((name) => (statSync(join(this.root, name)).isFile() ? [[name, this.read(name) ?? ""]] : [])),
    );
  }
}
