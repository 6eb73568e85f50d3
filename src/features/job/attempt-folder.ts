// The folder of one attempt: what its program reads there (input.json, checkpoint), and what it writes (progress,
// checkpoint, result). Nothing there is trusted.

import { closeSync, constants, fstatSync, mkdirSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Files that a program writes, and how many bytes of them are read. */
const MAX_BYTES = { progress: 1200, checkpoint: 64 * 1024, result: 64 * 1024 } as const;

/** The folder of one attempt. */
export class AttemptFolder {
  readonly path: string;
  /** Where the output is kept until the end: beside the folder, which its program cannot reach. */
  readonly outputPath: string;

  /** Makes it. */
  constructor(parent: string, name: string, { input, checkpoint }: { input: string; checkpoint: string }) {
    this.path = join(parent, name);
    this.outputPath = join(parent, `${name}.output`);
    mkdirSync(this.path, { mode: 0o700 });
    const files = { "input.json": input, ...(checkpoint === "" ? {} : { checkpoint }) };
    for (const [file, text] of Object.entries(files))
      writeFileSync(join(this.path, file), text, { flag: "wx", mode: 0o600 });
  }

  /** Returns what the program wrote there; undefined where there is no such file, or it is no plain one. */
  read(name: keyof typeof MAX_BYTES): string | undefined {
    let file: number;
    try {
      // A link would lead to what only the node may read, and a pipe would never end.
      file = openSync(join(this.path, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch {
      return undefined;
    }
    try {
      const stat = fstatSync(file);
      // A second name of a file elsewhere is none of its own.
      if (!stat.isFile() || stat.nlink > 1) return undefined;
      const bytes = Buffer.alloc(Math.min(stat.size, MAX_BYTES[name]));
      return new TextDecoder().decode(bytes.subarray(0, readSync(file, bytes, 0, bytes.byteLength, 0)));
    } finally {
      closeSync(file);
    }
  }

  /** Removes it with all that is there. */
  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
    rmSync(this.outputPath, { force: true });
  }
}
