// Versions of this executable and of its parts. The build inserts them (scripts/build.ts); a run from source reads them
// from the tree. The Go half reports its own versions when it starts (`Tailnet.versions`).

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

/** Versions of Cairn and of its parts, as text. */
export type BuildInfo = z.infer<typeof buildInfoShape>;

/** Inserted by the build; not declared when run from source. */
declare const CAIRN_BUILD: BuildInfo | undefined;

/** Versions of this executable. */
export const buildInfo: BuildInfo = typeof CAIRN_BUILD === "undefined" ? fromSource() : CAIRN_BUILD;

function fromSource(): BuildInfo {
  const native = nativeVersions();
  return { version: manifest.version, commit: "source", bun: Bun.version, ...native };
}

/** Returns the versions that scripts/native.ts wrote beside its output; "unknown" before the first build. */
function nativeVersions(): { tailscale: string; go: string } {
  try {
    const text = readFileSync(join(import.meta.dir, "..", "..", "build", "native", "versions.json"), "utf8");
    return buildInfoShape.pick({ tailscale: true, go: true }).parse(JSON.parse(text));
  } catch {
    return { tailscale: "unknown", go: "unknown" };
  }
}
