// Compiles TypeScript, Bun and the Go half into one executable. build.ts chooses targets and prints; tests use this for
// their own entries.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import manifest from "../package.json" with { type: "json" };
import type { BuildInfo } from "../src/config/build-info.ts";
import { requireV2 } from "./cpu-level.ts";
import { bunFor } from "./cross-bun.ts";
import { BuildError, ensureNative, nativeVersions } from "./native.ts";
import { planFor, type Target } from "./targets.ts";

export interface CompileOptions {
  target: Target;
  /** The TypeScript file that runs. */
  entry: string;
  outfile: string;
  /** As in BuildInfo. */
  commit: string;
}

/** Compiles the entry with its native file inside. Throws a BuildError when something is missing. */
export async function compile({ target, entry, outfile, commit }: CompileOptions): Promise<void> {
  const plan = planFor(target);
  if ("missing" in plan) throw new BuildError(`${target.name} needs ${plan.missing}`);
  const versions = nativeVersions();
  const native = ensureNative(target, plan.engine, versions);
  const info: BuildInfo = { version: manifest.version, commit, bun: Bun.version, ...versions };
  // Built in a folder of its own and renamed: a process that runs the old file keeps it, and the file's name, which
  // becomes part of the executable, stays the same.
  const folder = join(dirname(outfile), `.${process.pid}-${target.name}`);
  mkdirSync(folder, { recursive: true });
  const made = join(folder, basename(outfile));
  const result = await Bun.build({
    entrypoints: [entry],
    minify: true,
    // Without it, parsing takes most of the time of each command. Only ESM may wait at its top level.
    bytecode: true,
    format: "esm",
    // In parts: the guard of a child process (src/main.ts) loads none of the rest.
    splitting: true,
    // In parts: the guard of a child process (src/main.ts) loads none of the rest.
    define: { CAIRN_BUILD: JSON.stringify(info) },
    plugins: [embed(plan.engine, native)],
    compile: {
      target: target.bun,
      executablePath: await bunFor(target),
      outfile: made,
      // Files in the folder where it is started must not change what runs.
      autoloadDotenv: false,
      autoloadBunfig: false,
      autoloadTsconfig: false,
      autoloadPackageJson: false,
    },
    throw: false,
  });
  try {
    if (!result.success)
      throw new BuildError(`compiling ${entry} for ${target.name} failed:\n${result.logs.join("\n")}`);
    if (target.name === "linux-x64") requireV2(made);
    renameSync(made, outfile);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Replaces src/tailnet/embedded-file.ts by a module of the same shape that embeds the native file. */
function embed(engine: "library" | "sidecar", path: string): Bun.BunPlugin {
  const sha256 = createHash("sha256").update(readFileSync(path)).digest("hex");
  return {
    name: "embed-native",
    setup(build) {
      build.onLoad({ filter: /[/]src[/]tailnet[/]embedded-file[.]ts$/ }, () => ({
        contents: [
          `import path from ${JSON.stringify(path)} with { type: "file" };`,
          `export const embeddedFile = { engine: ${JSON.stringify(engine)}, path, sha256: ${JSON.stringify(sha256)} };`,
        ].join("\n"),
        loader: "ts",
      }));
    },
  };
}
