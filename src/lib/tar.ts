// Archives of a few small files in the form `ustar`, which every tar reads.

/** One file of an archive. */
export interface TarFile {
  /** ASCII, at most 100 characters. */
  name: string;
  bytes: Uint8Array;
}

const BLOCK = 512;

/** Returns an archive whose files belong to nobody in particular and may be read by their owner alone. */
export function tarOf(files: readonly TarFile[], timeMs: number): Uint8Array {
  const parts = files.flatMap(({ name, bytes }) => [head(name, bytes.length, timeMs), bytes, padding(bytes.length)]);
  return Buffer.concat([...parts, new Uint8Array(2 * BLOCK)]);
}

function padding(length: number): Uint8Array {
  return new Uint8Array((BLOCK - (length % BLOCK)) % BLOCK);
}

function head(name: string, size: number, timeMs: number): Uint8Array {
  if (!/^[\x20-\x7e]{1,100}$/.test(name)) throw new Error(`${JSON.stringify(name)} cannot be a name in an archive`);
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  const fields: readonly [at: number, text: string][] = [
    [0, name],
    [100, octal(0o600, 7)],
    [108, octal(0, 7)],
    [116, octal(0, 7)],
    [124, octal(size, 11)],
    [136, octal(Math.floor(timeMs / 1000), 11)],
    // The sum is made over a head in which it is blanks itself.
    [148, " ".repeat(8)],
    [156, "0"],
    [257, "ustar\x0000"],
  ];
  for (const [at, text] of fields) block.write(text, at, "latin1");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}
