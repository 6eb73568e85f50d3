// The compiled file as the guard of a child: it starts without the rest of the program, and ends what it guards.

import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { host } from "../../scripts/targets.ts";
import { GuardedProcess } from "../../src/features/process/index.ts";
import { buildDist } from "../kit/dist.ts";
import { eventually } from "../kit/eventually.ts";
import { isRunning } from "../kit/processes.ts";
import { temporaryFolder } from "../kit/temporary.ts";

/** A guard has 23 MB, and 42 where all of the program is read. */
const MAX_GUARD_BYTES = 35_000_000;

test.skipIf(process.platform !== "linux")(
  "the compiled file guards a child in little memory [needs Linux]",
  async () => {
    if (host === undefined) throw new Error("this machine is none that Cairn is built for");
    const cwd = temporaryFolder();
    const file = join(cwd, "pids");
    const script = `trap '' TERM; sleep 300 & echo $$ $! > ${file}; wait; sleep 300`;
    const guarded = GuardedProcess.start(
      { argv: ["sh", "-c", script], env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" }, cwd },
      { command: [await buildDist(host.name)], graceMs: 50 },
    );
    await eventually("the child", () => existsSync(file) && readFileSync(file, "utf8").includes("\n"));
    const status = readFileSync(`/proc/${guarded.guardPid}/status`, "utf8");
    expect(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024).toBeLessThan(MAX_GUARD_BYTES);
    expect(await guarded.stop()).toMatchObject({ cause: "stopped", signal: "SIGKILL", wasKilled: true, left: [] });
    expect(readFileSync(file, "utf8").trim().split(" ").map(Number).filter(isRunning)).toEqual([]);
    expect(isRunning(guarded.guardPid)).toBe(false);
  },
  600_000,
);
