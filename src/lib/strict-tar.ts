// Archives in a strict part of ustar: regular files and folders with plain relative names, and nothing else. Links,
// devices, `..`, repeated names and archives beyond the bounds are refused, so unpacking one writes only below its
// folder.

import { Fault } from "./fault.ts";

const BLOCK = 512;
const TEXT = new TextDecoder("utf-8", { fatal: true });

/** What an archive may have. */
export interface TarBounds {
  /** Files and folders. */
  entries: number;
  /** Bytes of all files. */
  bytes: number;
}

/** The bounds of archives that nodes unpack. */
export const TAR_BOUNDS: TarBounds = { entries: 20_000, bytes: 4 * 1024 ** 3 };

/** A file or folder. */
export interface TarEntry {
  kind: "file" | "folder";
  /** Relative, with `/` between its segments. */
  name: string;
  /** Bytes of the file. */
  size: number;
  executable: boolean;
}

/** An entry; after that of a file come its bytes, in order. */
export type TarPart = TarEntry | { kind: "bytes"; bytes: Uint8Array };

/** Returns the header of an entry. Throws Fault `invalid_input` for a name that does not fit. */
export function tarHeader({ kind, name, size, executable }: TarEntry): Uint8Array {
  const problem = nameProblem(name);
  if (problem !== undefined) throw refused(`${JSON.stringify(name)} ${problem}`);
  const whole = kind === "folder" ? `${name}/` : name;
  const { prefix, rest } = splitName(whole);
  const block = Buffer.alloc(BLOCK);
  block.write(rest, 0);
  const mode = kind === "folder" || executable ? "0000755" : "0000644";
  block.write(`${mode}\0`, 100);
  block.write("0000000\0", 108);
  block.write("0000000\0", 116);
  block.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
  block.write("00000000000\0", 136);
  block.write(kind === "folder" ? "5" : "0", 156);
  block.write("ustar\x0000", 257, "latin1");
  block.write(prefix, 345);
  block.write(`${sumOf(block).toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

/** Returns the zeros after the bytes of a file. */
export function tarPadding(size: number): Uint8Array {
  return new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);
}

/** Returns the end of an archive. */
export function tarEnd(): Uint8Array {
  return new Uint8Array(2 * BLOCK);
}

/** Reads an archive. Throws Fault `invalid_input` where it is not one, or says what may not be. */
export async function* readTar(
  chunks: AsyncIterable<Uint8Array>,
  bounds: TarBounds = TAR_BOUNDS,
): AsyncGenerator<TarPart, void> {
  const source = new Source(chunks);
  const folders = new Set<string>();
  const seen = new Set<string>();
  let bytes = 0;
  for (;;) {
    const block = await source.exactly(BLOCK);
    if (isZero(block)) break;
    const entry = entryOf(block);
    const { name, kind, size } = entry;
    // Disks of Macs do not tell these names apart.
    const key = name.normalize("NFC").toLowerCase();
    if (seen.has(key)) throw refused(`${JSON.stringify(name)} is there twice`);
    seen.add(key);
    if (seen.size > bounds.entries) throw refused(`it has more than ${bounds.entries} files and folders`);
    const parent = name.includes("/") ? name.slice(0, name.lastIndexOf("/")) : "";
    if (parent !== "" && !folders.has(parent))
      throw refused(`${JSON.stringify(name)} comes before its folder, or is below a file`);
    if (kind === "folder") folders.add(name);
    bytes += size;
    if (bytes > bounds.bytes) throw refused(`its files have more than ${bounds.bytes} bytes`);
    yield entry;
    for (let left = size; left > 0; ) {
      const part = await source.some(left);
      left -= part.byteLength;
      yield { kind: "bytes", bytes: part };
    }
    if (!isZero(await source.exactly(tarPadding(size).byteLength))) throw refused("the end of a file is no padding");
  }
  for await (const rest of source.rest()) if (!isZero(rest)) throw refused("something follows its end");
}

/** Returns what is wrong with a name. */
function nameProblem(name: string): string | undefined {
  if (name.startsWith("/")) return "is an absolute path";
  const isPlain = name
    .split("/")
    .every((segment) => segment !== "" && segment !== "." && segment !== ".." && Buffer.byteLength(segment) <= 255);
  if (!isPlain) return "is no plain relative path";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  return /[\u0000-\u001f\u007f\\]/.test(name) ? "has a control character or a backslash" : undefined;
}

/** Long names are in two fields, parted at a slash. */
function splitName(whole: string): { prefix: string; rest: string } {
  if (Buffer.byteLength(whole) <= 100) return { prefix: "", rest: whole };
  for (let at = whole.indexOf("/"); at > 0 && at < whole.length - 1; at = whole.indexOf("/", at + 1)) {
    const [prefix, rest] = [whole.slice(0, at), whole.slice(at + 1)];
    if (Buffer.byteLength(prefix) <= 155 && Buffer.byteLength(rest) <= 100) return { prefix, rest };
  }
  throw refused(`the name ${JSON.stringify(whole)} is too long for an archive`);
}

function entryOf(block: Uint8Array): TarEntry {
  if (numberOf(block, 148, 8) !== sumOf(block)) throw refused("a header has a wrong checksum");
  if (textOf(block, 257, 6) !== "ustar") throw refused("it is no archive of the format ustar");
  const prefix = textOf(block, 345, 155);
  const rest = textOf(block, 0, 100);
  const whole = prefix === "" ? rest : `${prefix}/${rest}`;
  const type = String.fromCharCode(block[156] ?? 0);
  const shown = JSON.stringify(whole);
  if (type !== "0" && type !== "\0" && type !== "5") throw refused(`${shown} is neither a file nor a folder`);
  if (textOf(block, 157, 100) !== "") throw refused(`${shown} is a link`);
  const kind = type === "5" ? "folder" : "file";
  const name = kind === "folder" && whole.endsWith("/") ? whole.slice(0, -1) : whole;
  const problem = nameProblem(name);
  if (problem !== undefined) throw refused(`${shown} ${problem}`);
  const mode = numberOf(block, 100, 8);
  if ((mode & 0o7000) !== 0) throw refused(`${shown} has a mode that changes the user`);
  const size = numberOf(block, 124, 12);
  if (kind === "folder" && size !== 0) throw refused(`the folder ${shown} has bytes`);
  return { kind, name, size, executable: (mode & 0o100) !== 0 };
}

function textOf(block: Uint8Array, at: number, length: number): string {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  try {
    return TEXT.decode(end === -1 ? field : field.subarray(0, end));
  } catch {
    throw refused("a name is no UTF-8");
  }
}

function numberOf(block: Uint8Array, at: number, length: number): number {
  const text = Buffer.from(block.subarray(at, at + length)).toString("latin1");
  const digits = /^ *([0-7]+)[ \0]*$/.exec(text)?.[1];
  if (digits === undefined) throw refused("a header has a field that is no octal number");
  return Number.parseInt(digits, 8);
}

/** The checksum is counted as if its own field were spaces. */
function sumOf(block: Uint8Array): number {
  return block.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 32 : byte), 0);
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

function refused(what: string): Fault {
  return new Fault("invalid_input", `The archive is refused: ${what}`, {
    hint: "Pack a folder of regular files with `cairn deploy`: no links, no devices, no `..`.",
  });
}

/** Bytes that come in parts, as they are wanted. */
class Source {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #left: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Returns 1 to `most` bytes. */
  async some(most: number): Promise<Uint8Array> {
    while (this.#left.byteLength === 0) {
      const { done, value } = await this.#chunks.next();
      if (done === true) throw refused("it is cut off");
      this.#left = value;
    }
    const taken = this.#left.subarray(0, most);
    this.#left = this.#left.subarray(taken.byteLength);
    return taken;
  }

  async exactly(length: number): Promise<Uint8Array> {
    const whole = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const part = await this.some(length - at);
      whole.set(part, at);
      at += part.byteLength;
    }
    return whole;
  }

  async *rest(): AsyncGenerator<Uint8Array> {
    yield this.#left;
    for (let next = await this.#chunks.next(); next.done !== true; next = await this.#chunks.next()) yield next.value;
  }
}
