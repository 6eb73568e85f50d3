// Archives of a few small files in the form `ustar`, which every tar reads.

/** One file or folder of an archive. */
export interface TarFile {
  /** ASCII, at most 100 characters; that of a folder ends with a slash. */
  name: string;
  bytes: Uint8Array;
  /** Left out: only its owner may read it. */
  mode?: number;
}

const BLOCK = 512;

/** Returns an archive whose files belong to root where root unpacks it, and else to who does. */
export function tarOf(files: readonly TarFile[], timeMs: number): Uint8Array {
  const parts = files.flatMap((file) => [head(file, timeMs), file.bytes, padding(file.bytes.length)]);
  return Buffer.concat([...parts, new Uint8Array(2 * BLOCK)]);
}

function padding(length: number): Uint8Array {
  return new Uint8Array((BLOCK - (length % BLOCK)) % BLOCK);
}

function head({ name, bytes, mode = 0o600 }: TarFile, timeMs: number): Uint8Array {
  if (!/^[\x20-\x7e]{1,100}$/.test(name)) throw new Error(`${JSON.stringify(name)} cannot be a name in an archive`);
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  const fields: readonly [at: number, text: string][] = [
    [0, name],
    [100, octal(mode, 7)],
    [108, octal(0, 7)],
    [116, octal(0, 7)],
    [124, octal(bytes.length, 11)],
    [136, octal(Math.floor(timeMs / 1000), 11)],
    // The sum is made over a head in which it is blanks itself.
    [148, " ".repeat(8)],
    [156, name.endsWith("/") ? "5" : "0"],
    [257, "ustar\x0000"],
    [265, "root"],
    [297, "root"],
  ];
  for (const [at, text] of fields) block.write(text, at, "latin1");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}
