// The sources as one file of JavaScript with its bytecode, for tests: a process starts from it with less than half of
// the CPU time that it needs from source. What is shipped is made by compile.ts.

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { dirname, join } from "node:path";
import { BuildError } from "./native.ts";

const root = dirname(import.meta.dir);
const folder = join(root, "build", "bundle");
const KEPT_MS = 24 * 60 * 60 * 1000;

/**
 * Returns the file to run with Bun in place of src/main.ts. Its name has the hash of the sources; it is built when it
 * is missing. Throws a BuildError.
 */
export async function ensureBundle(): Promise<string> {
  const name = `cairn-${hashOfSources()}.js`;
  const path = join(folder, name);
  if (isUsable(path)) return path;
  mkdirSync(folder, { recursive: true });
  removeOld();
  // Built beside it and renamed, the bytecode first: several test files may build at once.
  const temporary = join(folder, `.${process.pid}`);
  try {
    const result = await Bun.build({
      entrypoints: [join(root, "src", "main.ts")],
      target: "bun",
      format: "cjs",
      bytecode: true,
      outdir: temporary,
      naming: name,
      plugins: [keepFolders],
      throw: false,
    });
    if (!result.success) throw new BuildError(`bundling src/main.ts failed:\n${result.logs.join("\n")}`);
    for (const made of [`${name}.jsc`, name]) renameSync(join(temporary, made), join(folder, made));
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return path;
}

/** Reports whether it is there. One that is used is not old, whenever it was made: no other run removes it. */
function isUsable(path: string): boolean {
  const now = new Date();
  try {
    for (const name of [path, `${path}.jsc`]) utimesSync(name, now, now);
    return true;
  } catch {
    return false;
  }
}

/** Modules that look for files beside themselves find those of the source tree. */
const keepFolders: Bun.BunPlugin = {
  name: "keep-folders",
  setup(build) {
    build.onLoad({ filter: /[/]src[/].*[.]ts$/ }, ({ path }) => {
      const text = readFileSync(path, "utf8");
      return { contents: text.replaceAll("import.meta.dir", JSON.stringify(dirname(path))), loader: "ts" };
    });
  },
};

function hashOfSources(): string {
  const hash = createHash("sha256")
    .update(Bun.version)
    .update(import.meta.dir);
  const files = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const others = ["package.json", "package-lock.json", "tsconfig.json", "scripts/bundle.ts"];
  for (const file of [...files.toSorted(), ...others.map((name) => join(root, name))])
    hash.update(`\0${file}\0`).update(readFileSync(file));
  return hash.digest("hex").slice(0, 16);
}

/** Removes bundles of other sources that no run of tests uses any more. */
function removeOld(): void {
  for (const name of readdirSync(folder)) {
    const age = Date.now() - (statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0);
    if (age > KEPT_MS) rmSync(join(folder, name), { recursive: true, force: true });
  }
}
