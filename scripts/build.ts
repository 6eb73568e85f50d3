// npm run build: dist/cairn-<os>-<arch> for every target that can be built here, or for `-- --target NAME` alone; then
// the files of a release over those that were built (release-files.ts).

import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import manifest from "../package.json" with { type: "json" };
import { compile } from "./compile.ts";
import { BuildError, megabytes } from "./native.ts";
import { writeReleaseFiles } from "./release-files.ts";
import { planFor, TARGETS, type Target } from "./targets.ts";

const root = dirname(import.meta.dir);

try {
  const { values } = parseArgs({ args: process.argv.slice(2), options: { target: { type: "string" } } });
  const wanted = TARGETS.filter((target) => values.target === undefined || target.name === values.target);
  if (wanted.length === 0) {
    const names = TARGETS.map((target) => target.name).join(", ");
    throw new BuildError(`--target must be one of ${names}, got "${values.target}"`, 2);
  }
  const commit = currentCommit();
  const built: Target[] = [];
  for (const target of wanted) {
    const plan = planFor(target);
    if ("missing" in plan) {
      if (values.target !== undefined) throw new BuildError(`${target.name} needs ${plan.missing}`);
      console.error(`cairn: skipped ${target.name}: it needs ${plan.missing}`);
      continue;
    }
    const outfile = join(root, "dist", `cairn-${target.name}`);
    await compile({ target, entry: join(root, "src", "main.ts"), outfile, commit });
    built.push(target);
    console.error(
      `cairn: dist/cairn-${target.name} ${megabytes(statSync(outfile).size)}, with the ${plan.engine} inside`,
    );
  }
  const dist = join(root, "dist");
  const files = writeReleaseFiles({
    dist,
    targets: built,
    version: manifest.version,
    url: process.env["CAIRN_RELEASE_URL"] || undefined,
    keyFile: process.env["CAIRN_RELEASE_KEY_FILE"] || undefined,
    timeMs: Date.now(),
  });
  console.error(`cairn: dist/ has ${files.join(", ")}`);
} catch (error) {
  const usage = error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
  if (!usage && !(error instanceof BuildError)) throw error;
  console.error(`cairn: ${(error as Error).message}`);
  process.exit(usage ? 2 : (error as BuildError).exit);
}

/** Returns twelve digits of the commit, with "-dirty" when files differ from it; "unknown" outside a clone. */
function currentCommit(): string {
  const git = (...args: string[]) => Bun.spawnSync({ cmd: ["git", "-C", root, ...args], stderr: "ignore" });
  const commit = git("rev-parse", "--short=12", "HEAD");
  if (commit.exitCode !== 0) return "unknown";
  const dirty = git("status", "--porcelain", "--untracked-files=no").stdout.toString().trim() !== "";
  return `${commit.stdout.toString().trim()}${dirty ? "-dirty" : ""}`;
}
