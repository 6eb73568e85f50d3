// The native file inside the executable; none when run from source. The build (scripts/build.ts) replaces this module
// by one with the real file, so that nothing generated is in src, and no setting or environment variable can name
// another file.

/** `path` is readable by Bun.file; `sha256` is of its content, fixed when the executable was built. */
export interface EmbeddedFile {
  engine: "library" | "sidecar";
  path: string;
  sha256: string;
}

export const embeddedFile: EmbeddedFile | null = null;
