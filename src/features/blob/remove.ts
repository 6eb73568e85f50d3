// blob_remove and blob_purge: a blob leaves its space. The bytes leave the disks of all members once no space has it.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { WRITE_ROW } from "../../lib/work.ts";
import { BLOB_LEVEL, isReferenced } from "../../operation/blob-references.ts";
import { write } from "../../operation/define.ts";
import { blobHash, blobSpace } from "./arguments.ts";
import { blobOf, removeRow } from "./rows.ts";

/** What both operations have alike. */
const removal = {
  ...{ v: 1, level: BLOB_LEVEL },
  input: z.object({ space: blobSpace, sha256: blobHash }),
  example: { space: "team-a", sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" },
  output: z.object({ removed: z.boolean().describe("False: the space has no such blob.") }),
  hints: { destructive: true, idempotent: true },
  aliases: { hash: "sha256", id: "sha256" },
  work: () => 6 * WRITE_ROW,
};

/** Removes a blob to which no context refers. */
export const blobRemove = write({
  ...removal,
  name: "blob_remove",
  title: "Remove a blob",
  search: "delete a file, free space",
  description:
    "Removes a blob from a space at once, and its bytes from all members. Refused while a context names it in its metadata (blobs). A blob that nothing refers to is removed by itself after a time, so this is rarely needed.",
  access: { verb: "write", spaces: ({ space }) => [space] },
  prepare: (command) => command,
  apply(tx, { space, sha256 }) {
    const row = blobOf(tx, space, sha256);
    if (row === undefined) return { output: { removed: false }, changes: [] };
    if (isReferenced(tx, space, sha256)) {
      throw new Fault("in_use", `A context of ${JSON.stringify(space)} refers to the blob ${sha256}`, {
        hint: "Take it out of the metadata (blobs) of contexts first; an operator can remove it all the same with blob_purge.",
      });
    }
    return { output: { removed: true }, changes: [removeRow(tx, row, "removed")] };
  },
});

/** Removes a blob whatever refers to it. */
export const blobPurge = write({
  ...removal,
  name: "blob_purge",
  title: "Purge a blob",
  search: "erase a file that must not be kept, leaked secret",
  description:
    "Removes a blob from a space although contexts refer to it, and its bytes from all members. For what must not be kept. Members that are away remove the bytes when they come back.",
  access: { verb: "operate", spaces: ({ space }) => [space] },
  prepare: (command) => command,
  apply(tx, { space, sha256 }) {
    const row = blobOf(tx, space, sha256);
    if (row === undefined) return { output: { removed: false }, changes: [] };
    return { output: { removed: true }, changes: [removeRow(tx, row, "purged")] };
  },
});
