// The compiled files for tests: built by the same script as for users, so that a test never runs an old one.

import { dirname, join } from "node:path";
import type { TargetName } from "../../scripts/targets.ts";

const root = dirname(dirname(import.meta.dir));
const built = new Map<TargetName, Promise<string>>();

/**
 * Builds dist/cairn-<target>, once for each test process, and returns its path. Takes seconds when the Go half is up to
 * date, else minutes.
 */
export function buildDist(target: TargetName): Promise<string> {
  const known = built.get(target) ?? build(target);
  built.set(target, known);
  return known;
}

async function build(target: TargetName): Promise<string> {
  const script = join(root, "scripts", "build.ts");
  const child = Bun.spawn({
    cmd: [process.execPath, script, "--target", target],
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [errors, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  if (code !== 0) throw new Error(`scripts/build.ts --target ${target} ended with ${code}:\n${errors}`);
  return join(root, "dist", `cairn-${target}`);
}
