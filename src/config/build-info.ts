// What this executable was made of. The build puts the values in (scripts/build.ts); from source they are read from the tree.
// What the Go half really is, it says itself when it starts (`Tailnet.versions`).

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import manifest from "../../package.json" with { type: "json" };

const buildInfoShape = z.object({
  /** Version of Cairn, as in package.json. */
  version: z.string(),
  /** Twelve digits of the git commit, with "-dirty" for a changed tree; "source" when run from source. */
  commit: z.string(),
  bun: z.string(),
  tailscale: z.string(),
  go: z.string(),
});

/** Versions of Cairn and of its parts, all as plain texts. */
export type BuildInfo = z.infer<typeof buildInfoShape>;

/** Put in by the build; not declared at all when run from source. */
declare const CAIRN_BUILD: BuildInfo | undefined;

/** Versions of Cairn and of what it is built from. */
export const buildInfo: BuildInfo = typeof CAIRN_BUILD === "undefined" ? fromSource() : CAIRN_BUILD;

function fromSource(): BuildInfo {
  const native = nativeVersions();
  return { version: manifest.version, commit: "source", bun: Bun.version, ...native };
}

/** Written by scripts/native.ts beside what it builds; "unknown" before the first build. */
function nativeVersions(): { tailscale: string; go: string } {
  try {
    const text = readFileSync(join(import.meta.dir, "..", "..", "build", "native", "versions.json"), "utf8");
    return buildInfoShape.pick({ tailscale: true, go: true }).parse(JSON.parse(text));
  } catch {
    return { tailscale: "unknown", go: "unknown" };
  }
}
