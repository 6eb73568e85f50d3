// The command view: a directory up to two levels deep, or a file with line numbers.

import { counted } from "../../../lib/counted.ts";
import { ROOT, told, type VirtualPath } from "./paths.ts";
import type { Entry, Files } from "./store.ts";

const MAX_LINES = 999_999;
const NUMBER_WIDTH = String(MAX_LINES).length;
const LEVELS = 2;
/** Most characters of a file that one answer shows; view_range shows the rest. */
const MAX_SHOWN = 60_000;

/** Returns the text for a path. `range`: first and last line; -1 is the last one of the file. */
export async function view(files: Files, path: VirtualPath, range: readonly number[] | undefined): Promise<string> {
  const file = (await files.read([path.inner])).get(path.inner);
  if (file !== undefined) return viewFile(path, file.text, range);
  const below = await files.list(path.inner);
  if (below.length === 0 && path.inner !== "")
    throw told(`The path ${path.given} does not exist. Please provide a valid path.`, "not_found");
  if (range !== undefined) throw told("Error: view_range is for files, and the path is a directory");
  return viewDirectory(path, below);
}

function viewFile({ given }: VirtualPath, text: string, range: readonly number[] | undefined): string {
  const lines = text.split("\n");
  if (lines.length > MAX_LINES)
    throw told(`File ${given} exceeds maximum line limit of ${MAX_LINES.toLocaleString("en-US")} lines.`);
  const [first, last] = linesOf(range, lines.length);
  const shown = numbered(lines.slice(first - 1, last), first);
  const head = `Here's the content of ${given} with line numbers:\n`;
  // Between lines, since view_range names lines: a long one is shown whole.
  const before = shown.lastIndexOf("\n", MAX_SHOWN);
  const cut = before < 0 ? shown.indexOf("\n") : before;
  if (shown.length <= MAX_SHOWN || cut < 0) return head + shown;
  const whole = shown.slice(0, cut);
  const next = first + whole.split("\n").length;
  const count = counted(lines.length, "line");
  return `${head}${whole}\nThe file has ${count}; view_range [${next}, -1] shows those from line ${next} on.`;
}

function linesOf(range: readonly number[] | undefined, count: number): [first: number, last: number] {
  if (range === undefined) return [1, count];
  const [first = 1, last = -1] = range;
  if (range.length !== 2 || first < 1 || first > count || (last !== -1 && last < first))
    throw told(
      `Error: Invalid \`view_range\` parameter: [${range.join(", ")}]. It should be within the range of lines of the file: [1, ${count}]`,
    );
  return [first, last === -1 ? count : Math.min(last, count)];
}

/** Returns lines with their numbers. */
export function numbered(lines: readonly string[], first: number): string {
  return lines.map((line, at) => `${String(first + at).padStart(NUMBER_WIDTH)}\t${line}`).join("\n");
}

function viewDirectory({ given, inner }: VirtualPath, below: readonly Entry[]): string {
  const root = given.replace(/\/$/, "");
  const start = inner === "" ? 0 : inner.length + 1;
  const sizes = new Map<string, number>();
  for (const { inner: path, size } of below) {
    const segments = path.slice(start).split("/");
    if (segments.some((segment) => segment.startsWith(".") || segment === "node_modules")) continue;
    for (let level = 1; level <= Math.min(LEVELS, segments.length); level++) {
      const shown = segments.slice(0, level).join("/") + (level < segments.length ? "/" : "");
      sizes.set(shown, (sizes.get(shown) ?? 0) + size);
    }
  }
  const total = below.reduce((sum, { size }) => sum + size, 0);
  const rows = [...sizes]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, size]) => `${sizeText(size)}\t${root}/${path}`);
  return [
    `Here're the files and directories up to ${LEVELS} levels deep in ${root || ROOT}, excluding hidden items and node_modules:`,
    `${sizeText(total)}\t${root}`,
    ...rows,
  ].join("\n");
}

/** Returns a size as people read it: 512B, 1.5K, 2.0M. */
function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes}B`;
  const [size, unit] = bytes < 1024 * 1024 ? [bytes / 1024, "K"] : [bytes / 1024 / 1024, "M"];
  return `${size.toFixed(1)}${unit}`;
}
