// Makes one executable of TypeScript, Bun and the Go half. Which targets, and what is printed, is build.ts's; tests use it for their own entries.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import manifest from "../package.json" with { type: "json" };
import type { BuildInfo } from "../src/config/build-info.ts";
import { BuildError, ensureNative, nativeVersions } from "./native.ts";
import { planFor, type Target } from "./targets.ts";

const root = dirname(import.meta.dir);

export interface CompileOptions {
  target: Target;
  /** TypeScript file that runs. */
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
  mkdirSync(dirname(outfile), { recursive: true });
  const result = await Bun.build({
    entrypoints: [entry],
    minify: true,
    define: { CAIRN_BUILD: JSON.stringify(info) },
    plugins: [embed(plan.engine, native)],
    compile: {
      target: target.bun,
      executablePath: await bunFor(target),
      outfile,
      // What lies in the folder where it is started must not decide what runs.
      autoloadDotenv: false,
      autoloadBunfig: false,
      autoloadTsconfig: false,
      autoloadPackageJson: false,
    },
    throw: false,
  });
  if (!result.success) throw new BuildError(`compiling ${entry} for ${target.name} failed:\n${result.logs.join("\n")}`);
}

/** Puts the native file in the place of src/tailnet/embedded-file.ts, whose shape it keeps. */
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

/** The Bun executable for that target: of node_modules, or fetched once by npm into build/ and checked against package-lock.json. */
async function bunFor(target: Target): Promise<string> {
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
  await command(["mv", unpacked, folder]);
  return executable;
}

async function command(cmd: string[]): Promise<string> {
  const child = Bun.spawn({ cmd, cwd: root, stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const [text, code] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  if (code !== 0) throw new BuildError(`"${cmd.slice(0, 3).join(" ")}" ended with ${code}`);
  return text;
}
