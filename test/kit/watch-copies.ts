// Counts the transfers of store copies to a member: each has a file of its own name in the raft folder.

import { watch } from "node:fs";
import { eventually } from "./eventually.ts";

export interface CopyWatch extends Disposable {
  /** Resolves after so many more transfers have begun. */
  more(count: number): Promise<unknown>;
}

/** Watches a raft folder, which must be there. */
export function watchCopies(folder: string): CopyWatch {
  const seen = new Set<string>();
  const watcher = watch(folder, (_event, name) => {
    if (name?.startsWith("received-")) seen.add(name);
  });
  return {
    more: (count) => {
      const wanted = seen.size + count;
      return eventually(`${count} transfers of a copy`, () => seen.size >= wanted);
    },
    [Symbol.dispose]: () => watcher.close(),
  };
}
