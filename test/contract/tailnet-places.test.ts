// Where the real library and sidecar can and cannot run: folders mounted noexec, missing temporary folders, damage
// between two starts.

import { afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "../../scripts/finished.ts";
import { ensureNative } from "../../scripts/native.ts";
import { host } from "../../scripts/targets.ts";
import type { Outcome } from "../kit/open-tailnet.ts";

const SCRIPT = join(import.meta.dir, "..", "kit", "open-tailnet.ts");
/** Mounting needs a mount namespace: root, or a system that gives users their own. */
const canMount = Bun.which("unshare") !== null && Bun.spawnSync(["unshare", "-m", "true"]).exitCode === 0;

let base: string;
beforeAll(() => {
  if (host === undefined) throw new Error("this machine is none that Cairn is built for");
  for (const part of ["library", "sidecar"] as const) ensureNative(host, part);
}, 600_000);
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "cairn-places-"));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

/** Opens and closes in a fresh process; `noexec` is mounted over first. */
async function open(
  options: object,
  { noexec, env = {} }: { noexec?: string; env?: Record<string, string> } = {},
): Promise<Outcome> {
  const start = [process.execPath, SCRIPT, JSON.stringify(options)];
  const mount = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o noexec,mode=0700 none "$0" && exec "$@"'];
  const cmd = noexec === undefined ? start : [...mount, noexec, ...start];
  const child = Bun.spawn({
    cmd,
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: 30_000,
  });
  const { out, err } = await finished(child);
  if (out === "") throw new Error(`the process ended with ${child.exitCode ?? child.signalCode}: ${err}`);
  return JSON.parse(out);
}

describe.each(["library", "sidecar"] as const)("%s", (engine) => {
  test.skipIf(!canMount)(
    "a noexec data folder: the runtime folder is used instead [needs the right to mount]",
    async () => {
      const [dataDir, runtimeDir] = [join(base, "data"), join(base, "run")];
      mkdirSync(dataDir);
      const outcome = await open({ engine, dataDir, runtimeDir }, { noexec: dataDir });
      expect(outcome).toMatchObject({ opened: true });
      expect(outcome.logs.join()).toContain(dataDir);
      expect(readdirSync(join(runtimeDir, "lib"))).toHaveLength(1);
    },
  );

  test.skipIf(!canMount)(
    "noexec everywhere: the error names the folders and the way out [needs the right to mount]",
    async () => {
      const outcome = await open(
        { engine, dataDir: join(base, "data"), runtimeDir: join(base, "run") },
        { noexec: base },
      );
      expect(outcome).toMatchObject({ opened: false, code: "library_failed" });
      expect(outcome.message).toContain(join(base, "data", "lib"));
      expect(outcome.message).toContain(join(base, "run", "lib"));
      expect(outcome.message).toContain("noexec");
      expect(outcome.hint).toContain("--data");
    },
  );

  test("no temporary folder is needed", async () => {
    const nowhere = join(base, "gone");
    const env = { TMPDIR: nowhere, BUN_TMPDIR: nowhere, TEMP: nowhere, TMP: nowhere };
    expect(await open({ engine, dataDir: join(base, "data") }, { env })).toMatchObject({ opened: true });
  });

  test("a file of the same size and other content is healed at the next start", async () => {
    const dataDir = join(base, "data");
    await open({ engine, dataDir });
    const [name = ""] = readdirSync(join(dataDir, "lib"));
    const path = join(dataDir, "lib", name);
    writeFileSync(path, Buffer.alloc(Bun.file(path).size));
    const outcome = await open({ engine, dataDir });
    expect(outcome).toMatchObject({ opened: true });
    expect(outcome.logs.join()).toContain("is replaced");
  });
});
