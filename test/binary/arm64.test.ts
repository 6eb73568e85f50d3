// dist/cairn-linux-arm64, cross-compiled here and run by an emulator of the oldest supported processor: it joins a
// tailnet and serves. Its library needs no newer glibc than Debian 12 has, and can be mapped where pages have 16 KiB
// (Raspberry Pi 5).

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { nativePath } from "../../scripts/native.ts";
import { host, planFor, TARGETS } from "../../scripts/targets.ts";
import { buildDist } from "../kit/dist.ts";
import { eventually } from "../kit/eventually.ts";
import { TestNode } from "../kit/node.ts";
import { clientFetch, TestTailnet } from "../kit/tailnet.ts";

const target = TARGETS.find((one) => one.name === "linux-arm64");
if (target === undefined) throw new Error("linux-arm64 is missing in the table of targets");

const plan = planFor(target);
const missing = [
  ...("missing" in plan ? [plan.missing] : []),
  ...(Bun.which("readelf") === null ? ["readelf (on Debian: apt-get install binutils)"] : []),
];
const ROOT = "/usr/aarch64-linux-gnu";
const emulator = Bun.which("qemu-aarch64-static");
const run = target === host ? [] : emulator === null ? undefined : [emulator, "-cpu", "cortex-a53", "-L", ROOT];
const MAX_GLIBC = "2.34";
const MIN_ALIGNMENT = 16 * 1024;

function readelf(...args: string[]): string {
  const result = Bun.spawnSync({ cmd: ["readelf", "-W", ...args], stderr: "ignore" });
  if (result.exitCode !== 0) throw new Error(`readelf ${args.join(" ")} ended with ${result.exitCode}`);
  return result.stdout.toString();
}

describe.skipIf(missing.length > 0)(`linux-arm64 [needs ${missing.join(" and ") || "a cross compiler"}]`, () => {
  let executable: string;
  beforeAll(async () => {
    executable = await buildDist("linux-arm64");
  }, 600_000);

  test.each(["executable", "library"])("the %s needs nothing that Debian 12 or 16 KiB pages lack", (which) => {
    const file = which === "library" ? nativePath(target, "library") : executable;
    expect(readelf("-h", file)).toMatch(/Machine:\s+AArch64/);
    const versions = [...readelf("-V", file).matchAll(/GLIBC_(\d+\.\d+(?:\.\d+)?)/g)].map((match) => match[1] ?? "");
    expect(versions.length).toBeGreaterThan(0);
    const padded = (version: string) => version.split(".").concat("0").slice(0, 3).join(".");
    expect(versions.filter((version) => Bun.semver.order(padded(version), padded(MAX_GLIBC)) > 0)).toEqual([]);
    const loads = [...readelf("-l", file).matchAll(/^\s*LOAD\s.*\s0x([0-9a-f]+)$/gm)].map((match) =>
      Number.parseInt(match[1] ?? "", 16),
    );
    expect(loads.length).toBeGreaterThan(1);
    expect(loads.filter((alignment) => alignment < MIN_ALIGNMENT)).toEqual([]);
  });

  describe.skipIf(run === undefined)(
    "running [needs qemu-aarch64-static (on Debian: apt-get install qemu-user-static libc6-arm64-cross)]",
    () => {
      let control: TestTailnet;
      beforeAll(async () => {
        control = await TestTailnet.start();
        const app = { "cairn.internal/cap/cairn": [{ role: "member", spaces: ["*"] }] };
        await control.grants([{ src: ["*"], dst: ["*"], app }]);
      }, 60_000);
      afterAll(async () => {
        await control?.[Symbol.asyncDispose]();
      }, 20_000);

      test("it joins the tailnet, keeps a context for a peer, and ends on SIGTERM with 0", async () => {
        const peer = await control.client({ hostname: "peer", user: "peer@example.com" });
        await using cairn = new TestNode({ tailnet: control, hostname: "pi" }, [...(run ?? []), executable]);
        await eventually("the emulated node to serve", () => serves(cairn), {
          withinMs: 120_000,
          seen: () => cairn.stderr,
        });
        const ask = (init: BunFetchRequestInit) =>
          clientFetch(peer.proxy, "http://pi/contexts/team-a/plan", { ...init, signal: AbortSignal.timeout(60_000) });
        const put = await ask({
          method: "PUT",
          body: '{"goal":"arm"}',
          headers: { "Content-Type": "application/json" },
        });
        expect({ status: put.status, log: put.ok ? "" : cairn.stderr }).toEqual({ status: 201, log: "" });
        const got = await ask({});
        expect(got.status).toBe(200);
        expect((await got.json()) as unknown).toEqual({ goal: "arm" });
        expect(await cairn.stop()).toMatchObject({ code: 0, signal: null });
      }, 240_000);
    },
  );
});

/** Whether it said that it serves; throws when it ended instead. */
function serves(cairn: TestNode): boolean {
  if (cairn.ended) throw new Error(`the emulated node ended:\n${cairn.stderr}`);
  return cairn.events.some((one) => one.event === "serving" || (one.event === "ready" && one.state === "serving"));
}
