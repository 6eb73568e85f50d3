// dist/cairn-darwin-arm64, as far as Linux can judge it: the right machine, a signature that fits every page, and the
// sidecar whole inside. That it runs is for a Mac to show.

import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { nativePath } from "../../scripts/native.ts";
import { TARGETS } from "../../scripts/targets.ts";
import { buildDist } from "../kit/dist.ts";
import { CPU_ARM64, readMachO } from "../kit/mach-o.ts";

const target = TARGETS.find((one) => one.name === "darwin-arm64");
if (target === undefined) throw new Error("darwin-arm64 is missing in the table of targets");

describe.skipIf(process.platform !== "linux")("darwin-arm64, built on Linux [needs Linux]", () => {
  let executable: Buffer;
  let sidecar: Buffer;
  beforeAll(async () => {
    executable = readFileSync(await buildDist("darwin-arm64"));
    sidecar = readFileSync(nativePath(target, "sidecar"));
  }, 600_000);

  test.each(["executable", "sidecar"])("the %s is an arm64 Mach-O executable with a valid signature", (which) => {
    const { cpu, fileType, segments, signature } = readMachO(which === "sidecar" ? sidecar : executable);
    expect({ cpu, fileType }).toEqual({ cpu: CPU_ARM64, fileType: 2 });
    expect(segments).toContain("__TEXT");
    expect(signature).toMatchObject({ wrongPages: [], coversAll: true });
    expect(signature?.pages).toBeGreaterThan(100);
    // Ad hoc: without it, a file with no certificate would need one.
    expect((signature?.flags ?? 0) & 0x2).toBe(0x2);
  });

  test("the signature check sees a single changed byte", () => {
    const changed = Buffer.from(sidecar);
    changed.writeUInt8(changed.readUInt8(5000) ^ 1, 5000);
    expect(readMachO(changed).signature?.wrongPages).toHaveLength(1);
  });

  test("the sidecar is inside, byte for byte", () => {
    expect(executable.indexOf(sidecar)).toBeGreaterThan(0);
  });
});
