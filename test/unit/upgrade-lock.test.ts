// One upgrade of a file at a time: a second one is refused while the first runs, and a killed one holds nothing.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { lockExecutable } from "../../src/cli/upgrade/lock.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const MODULE = join(import.meta.dir, "../../src/cli/upgrade/lock.ts");
const children: Bun.Subprocess[] = [];
let path: string;
let left: string;
beforeEach(() => {
  path = join(temporaryFolder(), "cairn");
  left = join(path, "../.cairn-upgrade.lock");
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
});

/** A process that holds the lock until its input ends. */
async function holder() {
  const code = `
    const { lockExecutable } = await import(${JSON.stringify(MODULE)});
    {
      using lock = lockExecutable(${JSON.stringify(path)});
      console.log("held");
      await Bun.stdin.text();
    }
    console.log("given back");`;
  const child = Bun.spawn({ cmd: [process.execPath, "-e", code], stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  children.push(child);
  const out = child.stdout.getReader();
  const next = async () => new TextDecoder().decode((await out.read()).value).trim();
  expect(await next()).toBe("held");
  return { child, next };
}

test("a second upgrade is refused until the first ends, and nothing is left of it", async () => {
  const { child, next } = await holder();
  expect(() => lockExecutable(path)).toThrow(`Another cairn upgrade of ${path} is under way`);
  child.stdin.end();
  expect(await next()).toBe("given back");
  expect(existsSync(left)).toBe(false);
  lockExecutable(path)[Symbol.dispose]();
  expect(existsSync(left)).toBe(false);
});

test("a killed one holds nothing, whatever file it leaves", async () => {
  const { child } = await holder();
  child.kill("SIGKILL");
  await child.exited;
  expect(existsSync(left)).toBe(true);
  const lock = lockExecutable(path);
  lock[Symbol.dispose]();
  expect(existsSync(left)).toBe(false);
});
