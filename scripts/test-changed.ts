// Chooses what `npm test -- --changed` runs: the test files and Go packages that a change can reach, each with the
// reason. Which changes there are, git says; what uses what, scripts/use-graph.ts and `go list` say.

import { dirname, join } from "node:path";
import type { UseGraph } from "./use-graph.ts";

/** A test file or a Go package, and why it is run. */
export interface Choice {
  name: string;
  why: string;
}

/** A Go package of native/: its folder from the root, and folders of the packages that it or its tests use. */
export interface GoPackage {
  folder: string;
  uses: readonly string[];
}

/** The build of the Go half: a test that reaches this file needs what is built from native/. */
export const NATIVE = "scripts/native.ts";
/** What every TypeScript test depends on without naming it. */
const OF_ALL_TESTS = ["bunfig.toml", "package-lock.json", "tsconfig.json"];
/** What every Go package depends on. */
const OF_ALL_GO = ["native/go.mod", "native/go.sum", "native/tags.txt"];

/** Returns the test files that the changed files can reach. All paths are from the root. */
export function chooseTests(tests: readonly string[], changed: readonly string[], graph: UseGraph): Choice[] {
  const everywhere = changed.find((file) => OF_ALL_TESTS.includes(file));
  if (everywhere !== undefined) return tests.map((name) => ({ name, why: `${everywhere} changed` }));
  const native = changed.find(isBuilt);
  const targets = new Set(changed.flatMap((file) => [file, ...foldersOf(file)]));
  if (native !== undefined) targets.add(NATIVE);
  return tests.flatMap((name) => {
    const way = graph.wayTo(name, targets);
    if (way === undefined) return [];
    const last = way.at(-1) ?? name;
    const reached = way.length === 1 ? "it changed itself" : `uses ${way.slice(1).join(" → ")}`;
    return [
      { name, why: last === NATIVE && !changed.includes(NATIVE) ? `needs what is built from ${native}` : reached },
    ];
  });
}

/** Returns the Go packages that the changed files can reach, by their own files or by a package that they use. */
export function choosePackages(packages: readonly GoPackage[], changed: readonly string[]): Choice[] {
  const everywhere = changed.find((file) => OF_ALL_GO.includes(file) || file.startsWith("native/testdata/"));
  if (everywhere !== undefined) return packages.map(({ folder }) => ({ name: folder, why: `${everywhere} changed` }));
  const changedIn = (folder: string): string | undefined => changed.find((file) => ownerOf(file, packages) === folder);
  return packages.flatMap(({ folder, uses }) => {
    const own = changedIn(folder);
    if (own !== undefined) return [{ name: folder, why: `${own} changed` }];
    const used = uses.find((other) => changedIn(other) !== undefined);
    return used === undefined ? [] : [{ name: folder, why: `uses ${used}, where ${changedIn(used)} changed` }];
  });
}

/** Reports whether a file of native/ goes into what is built from there. */
function isBuilt(file: string): boolean {
  if (OF_ALL_GO.includes(file)) return true;
  return /^native\/.*\.(?:go|c|h|s)$/.test(file) && !file.endsWith("_test.go");
}

/** Returns the folder of the package that a file belongs to: the nearest one above it. */
function ownerOf(file: string, packages: readonly GoPackage[]): string | undefined {
  return foldersOf(file)
    .map((folder) => folder.slice(0, -1))
    .find((folder) => packages.some((one) => one.folder === folder));
}

/** Returns the folders that a file is in, the nearest first, each with a slash at the end. */
function foldersOf(file: string): string[] {
  const folders: string[] = [];
  for (let at = dirname(file); at !== "."; at = dirname(at)) folders.push(`${at}/`);
  return folders;
}

/** A reference that git does not know, or no git at all; the message says which. */
export class NoReference extends Error {}

/**
 * Returns the files that differ from `ref`, uncommitted and new ones included, and the commit that was compared with.
 * Without `ref` that is the last commit which this branch has in common with main: on main itself, the last one.
 */
export function changedSince(root: string, ref?: string): { commit: string; files: string[] } {
  const git = (...args: string[]): string | undefined => {
    const result = Bun.spawnSync({ cmd: ["git", "-C", root, ...args], stderr: "ignore" });
    return result.exitCode === 0 ? result.stdout.toString() : undefined;
  };
  const named = ref ?? git("merge-base", "HEAD", "main")?.trim() ?? "HEAD";
  const commit = git("rev-parse", "--verify", "--short=12", `${named}^{commit}`)?.trim();
  if (commit === undefined) throw new NoReference(`git knows no commit "${named}"`);
  const listed = [
    git("diff", "--name-only", "--no-renames", "-z", commit),
    git("ls-files", "--others", "--exclude-standard", "-z"),
  ];
  return {
    commit,
    files: listed
      .flatMap((list) => (list ?? "").split("\0"))
      .filter((file) => file !== "")
      .sort(),
  };
}

/** Returns the packages of native/ that have tests, as `go list` knows them. */
export function goPackages(root: string): GoPackage[] {
  const format =
    '{{.Dir}}|{{len .TestGoFiles}}{{len .XTestGoFiles}}|{{join .Deps " "}}|{{join .TestImports " "}} {{join .XTestImports " "}}|{{.ImportPath}}';
  const listed = Bun.spawnSync({
    cmd: ["go", "list", "-C", "native", "-mod=readonly", "-f", format, "./..."],
    cwd: root,
    env: { ...process.env, GOTOOLCHAIN: "local" },
  });
  const rows = listed.stdout
    .toString()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [folder = "", tests = "", deps = "", testImports = "", path = ""] = line.split("|");
      return {
        folder: folder.slice(join(root, "/").length),
        tests,
        deps: deps.split(" "),
        testImports: testImports.split(" "),
        path,
      };
    });
  const folderOf = new Map(rows.map(({ path, folder }) => [path, folder]));
  return rows
    .filter(({ tests }) => tests !== "00")
    .map(({ folder, deps, testImports }) => {
      const ofTests = testImports.flatMap((path) => [path, ...(rows.find((row) => row.path === path)?.deps ?? [])]);
      const uses = [...deps, ...ofTests].flatMap((path) => folderOf.get(path) ?? []);
      return { folder, uses: [...new Set(uses)].filter((other) => other !== folder) };
    });
}
