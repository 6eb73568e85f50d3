// The commands that change files: create, str_replace, insert, delete, rename. Results and errors have the texts that
// Anthropic publishes for its memory tool.

import { Fault } from "../../../lib/fault.ts";
import { ancestorsOf, ROOT, told, type VirtualPath } from "./paths.ts";
import type { Files } from "./store.ts";
import { numbered } from "./view.ts";

/** Most files of a directory that is renamed: all at once, each by two writes. */
const MAX_RENAMED = 32;
/** Lines of an edited file that are shown before the first changed line and after it. */
const AROUND = 2;

/** Makes a file. */
export async function create(files: Files, path: VirtualPath, text: string): Promise<string> {
  await refuseTaken(files, path, `Error: File ${path.given} already exists`);
  try {
    await files.create(path.inner, text);
  } catch (error) {
    if (error instanceof Fault && error.code === "version_mismatch")
      throw told(`Error: File ${path.given} already exists`);
    throw error;
  }
  return `File created successfully at: ${path.given}`;
}

/** Throws where a file or directory has the path, or a file is where one of its directories must be. */
async function refuseTaken(files: Files, { given, inner }: VirtualPath, taken: string): Promise<void> {
  const above = ancestorsOf(inner);
  const found = await files.read([inner, ...above]);
  if (found.has(inner) || (await files.isDirectory(inner))) throw told(taken);
  const file = above.find((path) => found.has(path));
  if (file !== undefined) throw told(`Error: The path ${given} cannot be used: ${ROOT}/${file} is a file`);
}

/** Replaces the one occurrence of a text. */
export async function replace(files: Files, path: VirtualPath, given: { old_str: string; new_str: string }) {
  const { old_str: wanted, new_str: by } = given;
  let place = 0;
  const missing = () => told(`Error: The path ${path.given} does not exist. Please provide a valid path.`, "not_found");
  const after = await files.edit(path, missing, (text) => {
    const places = wanted === "" ? [] : placesOf(text, wanted);
    const [first] = places;
    if (first === undefined)
      throw told(`No replacement was performed, old_str \`${wanted}\` did not appear verbatim in ${path.given}.`);
    if (places.length > 1) {
      const lines = [...new Set(places.map((at) => lineAt(text, at)))].join(", ");
      throw told(
        `No replacement was performed. Multiple occurrences of old_str \`${wanted}\` in lines: ${lines}. Please ensure it is unique`,
      );
    }
    place = first;
    return text.slice(0, first) + by + text.slice(first + wanted.length);
  });
  const changed = lineAt(after, place);
  const first = Math.max(1, changed - AROUND);
  const snippet = numbered(after.split("\n").slice(first - 1, changed + AROUND), first);
  return `The memory file has been edited. Here is the snippet showing the change (with line numbers):\n${snippet}`;
}

/** Most places that are named. */
const MAX_PLACES = 100;

function placesOf(text: string, wanted: string): number[] {
  const places: number[] = [];
  for (let at = text.indexOf(wanted); at >= 0 && places.length < MAX_PLACES; at = text.indexOf(wanted, at + 1))
    places.push(at);
  return places;
}

function lineAt(text: string, place: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < place; at = text.indexOf("\n", at + 1)) line += 1;
  return line;
}

/** Inserts lines after a line; 0: before the first. */
export async function insert(files: Files, path: VirtualPath, given: { insert_line: number; insert_text: string }) {
  const { insert_line: after, insert_text: text } = given;
  const missing = () => told(`Error: The path ${path.given} does not exist`, "not_found");
  await files.edit(path, missing, (before) => {
    const lines = before.split("\n");
    if (after < 0 || after > lines.length)
      throw told(
        `Error: Invalid \`insert_line\` parameter: ${after}. It should be within the range of lines of the file: [0, ${lines.length}]`,
      );
    lines.splice(after, 0, text.replace(/\n$/, ""));
    return lines.join("\n");
  });
  return `The file ${path.given} has been edited.`;
}

/** Removes a file, or a directory with all that is below it. */
export async function remove(files: Files, path: VirtualPath): Promise<string> {
  if (path.inner === "") throw told(`Error: Cannot delete the ${ROOT} directory itself`);
  const file = (await files.read([path.inner])).get(path.inner);
  const gone = file === undefined ? await files.list(path.inner) : [file];
  if (gone.length === 0) throw told(`Error: The path ${path.given} does not exist`, "not_found");
  await files.remove(gone);
  return `Successfully deleted ${path.given}`;
}

/** Renames a file, or a directory with all that is below it, as one command. */
export async function rename(files: Files, from: VirtualPath, to: VirtualPath): Promise<string> {
  if (from.inner === "") throw told(`Error: Cannot rename the ${ROOT} directory itself`);
  const file = (await files.read([from.inner])).get(from.inner);
  const inners = file === undefined ? (await files.list(from.inner)).map(({ inner }) => inner) : [from.inner];
  const missing = () => told(`Error: The path ${from.given} does not exist`, "not_found");
  if (inners.length === 0) throw missing();
  if (to.inner.startsWith(`${from.inner}/`)) throw told(`Error: Cannot rename ${from.given} to a path below itself`);
  await refuseTaken(files, to, `Error: The destination ${to.given} already exists`);
  if (inners.length > MAX_RENAMED)
    throw told(`Error: ${from.given} has ${inners.length} files; at most ${MAX_RENAMED} are renamed at once`);
  const moved = file === undefined ? await files.read(inners) : new Map([[from.inner, file]]);
  if (moved.size === 0) throw missing();
  const writes = [...moved].flatMap(([inner, { id, etag, text }]) => [
    { ...files.writeOf(`${to.inner}${inner.slice(from.inner.length)}`, text), if_none_match: "*" },
    { operation: "context_delete", id, if_match: etag },
  ]);
  await files.many(writes);
  return `Successfully renamed ${from.given} to ${to.given}`;
}
