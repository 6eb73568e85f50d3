// dist/cairn-linux-x64 on processors of an emulator: one with exactly what Bun needs runs it, and older ones get a
// sentence instead of an illegal instruction.

import { beforeAll, describe, expect, test } from "bun:test";
import { host } from "../../scripts/targets.ts";
import { buildDist } from "../kit/dist.ts";

const emulator = Bun.which("qemu-x86_64-static") ?? Bun.which("qemu-x86_64");
const runs = host?.name === "linux-x64" && emulator !== null;

describe.skipIf(!runs)("an emulated processor [needs linux-x64 and qemu-user-static]", () => {
  let executable: string;
  beforeAll(async () => {
    executable = await buildDist("linux-x64");
  }, 600_000);

  function run(processor: string) {
    const { exitCode, stdout, stderr } = Bun.spawnSync({
      cmd: [emulator ?? "", "-cpu", processor, executable, "version"],
      env: { PATH: "/usr/bin:/bin" },
    });
    const err = stderr.toString().replaceAll(/^.*warning: TCG.*\n/gm, "");
    return { code: exitCode, out: stdout.toString(), err };
  }

  test("x86-64-v2 (2009) is enough", () => {
    expect(run("Nehalem")).toMatchObject({ code: 0, out: expect.stringMatching(/^cairn /) });
  });

  // The usual types of virtual machines, and processors of 2006 and 2009.
  test.each(["kvm64", "qemu64", "Conroe", "phenom"])("%s is too old, and the loader says so", (processor) => {
    const { code, err } = run(processor);
    expect([code, err]).toEqual([127, `${executable}: CPU ISA level is lower than required\n`]);
  });
});
