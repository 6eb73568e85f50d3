// A release on a local server: executables that are scripts, the files that the build puts beside them, signed, and
// what is served in place of them.

import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeReleaseFiles } from "../../scripts/release-files.ts";
import { host, TARGETS, type Target } from "../../scripts/targets.ts";
import { temporaryFolder } from "./temporary.ts";

/** The target of this machine. */
export const RELEASE_TARGET = host ?? (TARGETS[0] as Target);
/** The name of its executable. */
export const RELEASE_NAME = `cairn-${RELEASE_TARGET.name}`;

const keys = generateKeyPairSync("ed25519");
const others = generateKeyPairSync("ed25519");

/** Starts a server of a release with this executable, below `/r`. */
export function startRelease(executable: string) {
  const folder = temporaryFolder();
  const dist = join(folder, "dist");
  mkdirSync(dist);
  writeFileSync(join(folder, "private.pem"), keys.privateKey.export({ type: "pkcs8", format: "pem" }));
  writeFileSync(join(folder, "public.pem"), keys.publicKey.export({ type: "spki", format: "pem" }));
  writeFileSync(join(folder, "other.pem"), others.publicKey.export({ type: "spki", format: "pem" }));
  /** What is served in place of a file; "": nothing. */
  const served = new Map<string, string | Uint8Array | (() => Response)>();
  const asked: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const name = new URL(request.url).pathname.slice("/r/".length);
      asked.push(name);
      const other = served.get(name);
      if (other === "" || (other === undefined && !existsSync(join(dist, name))))
        return new Response("gone", { status: 404 });
      if (typeof other === "function") return other();
      return new Response(other ?? Bun.file(join(dist, name)));
    },
  });
  /** Makes the files beside the executable anew. */
  const publish = (text: string, keyFile?: string): string[] => {
    writeFileSync(join(dist, RELEASE_NAME), text);
    const facts = { version: "1.2.3", url: "https://example.com/cairn/", timeMs: Date.parse("2026-01-02T03:04:05Z") };
    return writeReleaseFiles({ dist, targets: [RELEASE_TARGET], keyFile, ...facts });
  };
  publish(executable, join(folder, "private.pem"));
  return {
    ...{ folder, dist, served, asked, publish },
    url: `${server.url.origin}/r`,
    /** The file of a key: `public` is that of the release. */
    key: (name: "public" | "other" | "private") => join(folder, `${name}.pem`),
    [Symbol.dispose]: () => void server.stop(true),
  };
}
