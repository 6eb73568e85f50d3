// The native file inside the executable. From source there is none; the build (scripts/build.ts) puts a module with the real
// file in this one's place, so that nothing generated lies in src and no setting or environment can name another file.

/** `path` is readable by Bun.file; `sha256` is of its content, fixed when the executable was built. */
export interface EmbeddedFile {
  engine: "library" | "sidecar";
  path: string;
  sha256: string;
}

export const embeddedFile: EmbeddedFile | null = null;
