// The Bun runtime for an executable of another machine: npm fetches it once into build/bun/, and it is checked against
// package-lock.json. `bun build` would fetch it too, but check it against nothing in this repository.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { BuildError } from "./native.ts";
import type { Target } from "./targets.ts";

const root = dirname(import.meta.dir);

/**
 * Returns the path of the Bun executable for that target, from node_modules or fetched once by npm into build/. Throws
 * where it does not match package-lock.json.
 */
export async function bunFor(target: Target): Promise<string> {
  const installed = join(root, "node_modules", target.bunPackage, "bin", "bun");
  if (existsSync(installed)) return installed;
  const folder = join(root, "build", "bun", `${target.name}-${Bun.version}`);
  const executable = join(folder, "package", "bin", "bun");
  if (existsSync(executable)) return executable;

  const lock: { packages: Record<string, { integrity?: string; version?: string }> } = JSON.parse(
    readFileSync(join(root, "package-lock.json"), "utf8"),
  );
  const locked = lock.packages[`node_modules/${target.bunPackage}`];
  if (locked?.integrity === undefined || locked.version !== Bun.version) {
    throw new BuildError(
      `package-lock.json has no ${target.bunPackage} ${Bun.version}; run npm install with that version of bun`,
    );
  }
  console.error(`cairn: fetching ${target.bunPackage} ${Bun.version} from the npm registry …`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const wanted = `${target.bunPackage}@${Bun.version}`;
  const packed = await command(["npm", "pack", wanted, "--json", "--pack-destination", folder, "--loglevel=error"]);
  const tarball = new Bun.Glob("*.tgz").scanSync({ cwd: folder, absolute: true }).next().value;
  if (typeof tarball !== "string") throw new BuildError(`npm pack ${wanted} left no file: ${packed.slice(0, 200)}`);
  const integrity = `sha512-${createHash("sha512").update(readFileSync(tarball)).digest("base64")}`;
  if (integrity !== locked.integrity)
    throw new BuildError(`${wanted} has integrity ${integrity}, package-lock.json wants ${locked.integrity}`);
  const unpacked = `${folder}.tmp`;
  rmSync(unpacked, { recursive: true, force: true });
  mkdirSync(unpacked, { recursive: true });
  await command(["tar", "-xzf", tarball, "-C", unpacked]);
  rmSync(folder, { recursive: true });
  renameSync(unpacked, folder);
  return executable;
}

async function command(cmd: string[]): Promise<string> {
  const child = Bun.spawn({ cmd, cwd: root, stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const [text, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  if (code !== 0) throw new BuildError(`"${cmd.slice(0, 3).join(" ")}" ended with ${code}`);
  return text;
}
