// The one table of machines that Cairn is built for, and what this machine can build for them. Who builds reads it: native.ts, build.ts.

export interface Target {
  /** As in `dist/cairn-<name>`; also `${process.platform}-${process.arch}` there. */
  name: TargetName;
  goos: "linux" | "darwin";
  goarch: "amd64" | "arm64";
  /** What `bun build` calls it, and the npm package that holds its Bun. */
  bun: Bun.Build.CompileTarget;
  bunPackage: string;
  /** C compiler that makes files for it on another machine; undefined where there is none that needs no vendor SDK. */
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

/** This machine, or undefined when it is none of the table. */
export const host: Target | undefined = TARGETS.find((target) => target.name === `${process.platform}-${process.arch}`);

export type Engine = "library" | "sidecar";

export type Plan = { engine: Engine; compiler?: string } | { missing: string };

/** What goes into the executable for this target when it is built here, and with which C compiler; or what is missing for it. */
export function planFor(target: Target): Plan {
  if (target === host) {
    const compiler = [process.env["CC"], "cc", "gcc", "clang"].find((name) => name && Bun.which(name) !== null);
    if (compiler !== undefined) return { engine: "library", compiler };
    return { missing: "a C compiler (cc, gcc or clang; on Debian: apt-get install gcc libc6-dev)" };
  }
  // A library for another system's loader needs that system's linker; a sidecar needs Go alone.
  if (target.crossCompiler === undefined) return { engine: "sidecar" };
  if (Bun.which(target.crossCompiler) !== null) return { engine: "library", compiler: target.crossCompiler };
  return { missing: `${target.crossCompiler} (on Debian: apt-get install ${target.crossPackage})` };
}
