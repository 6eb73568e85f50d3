// Finds the native file of the Go half: inside the executable, or in the source tree's build/ when run from source.
// Never by environment or working folder, since others could then choose code that runs with the node's rights.

import { join } from "node:path";
import { Fault } from "../lib/fault.ts";
import { sha256Hex } from "../lib/sha256.ts";
import { embeddedFile } from "./embedded-file.ts";

/** A native file to extract and run. `suffix` is of the extracted file. */
export interface Artifact {
  engine: "library" | "sidecar";
  path: string;
  sha256: string;
  suffix: string;
}

export type Engine = Artifact["engine"];

const LIBRARY_SUFFIX = process.platform === "darwin" ? ".dylib" : ".so";

/**
 * Returns the file of this engine, or of the available one if none is named (the library before the sidecar). Fault
 * `library_failed`.
 */
export async function nativeArtifact(engine?: Engine): Promise<Artifact> {
  const carried: EmbeddedOrNull = embeddedFile;
  if (carried !== null) {
    if (engine !== undefined && engine !== carried.engine) {
      throw new Fault("library_failed", `this executable carries the tailnet ${carried.engine}, not the ${engine}`, {
        hint: `Leave the engine setting out, or set it to "${carried.engine}".`,
      });
    }
    return { ...carried, suffix: suffixOf(carried.engine) };
  }
  const wanted: Engine[] = engine === undefined ? ["library", "sidecar"] : [engine];
  for (const candidate of wanted) {
    const built = await fromSourceTree(candidate);
    if (built !== undefined) return built;
  }
  throw new Fault(
    "library_failed",
    `the tailnet ${wanted.join(" or ")} is not built: nothing at ${sourceTreePath(wanted[0] ?? "library")}`,
    {
      hint: "Run `npm start`, `npm test` or `npm run build`, which build it (Go 1.26 and a C compiler are needed).",
    },
  );
}

// Widened, because the constant in the source module has only the type null.
type EmbeddedOrNull = typeof embeddedFile;

async function fromSourceTree(engine: Engine): Promise<Artifact | undefined> {
  const path = sourceTreePath(engine);
  const file = Bun.file(path);
  if (!(await file.exists())) return undefined;
  const sha256 = sha256Hex(await file.bytes());
  return { engine, path, sha256, suffix: suffixOf(engine) };
}

function sourceTreePath(engine: Engine): string {
  const name = engine === "library" ? `libcairn${LIBRARY_SUFFIX}` : "cairn-sidecar";
  return join(import.meta.dir, "..", "..", "build", "native", `${process.platform}-${process.arch}`, name);
}

function suffixOf(engine: Engine): string {
  return engine === "library" ? LIBRARY_SUFFIX : ".sidecar";
}
