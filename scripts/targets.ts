// The table of machines that Cairn is built for, and what this machine can build for them. native.ts and build.ts read
// it.

export interface Target {
  /** As in `dist/cairn-<name>`; equal to `${process.platform}-${process.arch}` on that machine. */
  name: TargetName;
  goos: "linux" | "darwin";
  goarch: "amd64" | "arm64";
  /** Its name for `bun build`, and the npm package that holds its Bun. */
  bun: Bun.Build.CompileTarget;
  bunPackage: string;
  /** C compiler that builds for it on another machine; undefined where each such compiler needs a vendor SDK. */
  crossCompiler?: string;
  crossPackage?: string;
}

export type TargetName = "linux-x64" | "linux-arm64" | "darwin-arm64";

export const TARGETS: readonly Target[] = [
  {
    name: "linux-x64",
    goos: "linux",
    goarch: "amd64",
    bun: "bun-linux-x64",
    bunPackage: "@oven/bun-linux-x64",
    crossCompiler: "x86_64-linux-gnu-gcc",
    crossPackage: "gcc-x86-64-linux-gnu",
  },
  {
    name: "linux-arm64",
    goos: "linux",
    goarch: "arm64",
    bun: "bun-linux-arm64",
    bunPackage: "@oven/bun-linux-aarch64",
    crossCompiler: "aarch64-linux-gnu-gcc",
    crossPackage: "gcc-aarch64-linux-gnu",
  },
  {
    name: "darwin-arm64",
    goos: "darwin",
    goarch: "arm64",
    bun: "bun-darwin-arm64",
    bunPackage: "@oven/bun-darwin-aarch64",
  },
];

/** The target of this machine, or undefined when the table has none. */
export const host: Target | undefined = TARGETS.find((target) => target.name === `${process.platform}-${process.arch}`);

export type Engine = "library" | "sidecar";

export type Plan = { engine: Engine; compiler?: string } | { missing: string };

/**
 * Returns what goes into the executable for this target when it is built here, and with which C compiler; or what is
 * missing.
 */
export function planFor(target: Target): Plan {
  if (target === host) {
    const compiler = [process.env["CC"], "cc", "gcc", "clang"].find((name) => name && Bun.which(name) !== null);
    if (compiler !== undefined) return { engine: "library", compiler };
    return { missing: "a C compiler (cc, gcc or clang; on Debian: apt-get install gcc libc6-dev)" };
  }
  // A library for the loader of another system needs that system's linker; a sidecar needs only Go.
  if (target.crossCompiler === undefined) return { engine: "sidecar" };
  if (Bun.which(target.crossCompiler) !== null) return { engine: "library", compiler: target.crossCompiler };
  return { missing: `${target.crossCompiler} (on Debian: apt-get install ${target.crossPackage})` };
}
