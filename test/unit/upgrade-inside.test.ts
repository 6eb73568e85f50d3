// A command that the node itself has started would end with it: that is found by who started it.

import { afterEach, expect, test } from "bun:test";
import { refuseInside } from "../../src/cli/upgrade/inside.ts";

const children: Bun.Subprocess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
});

function start(...cmd: string[]): Bun.Subprocess<"ignore", "pipe", "inherit"> {
  const child = Bun.spawn({ cmd, stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  children.push(child);
  return child;
}

test("a command that a process has started, or what that has started, is part of it", async () => {
  const child = start("sh", "-c", "sleep 60 & echo $!; wait");
  const { value } = await child.stdout.getReader().read();
  const grandchild = Number(new TextDecoder().decode(value));
  try {
    for (const own of [child.pid, grandchild])
      await expect(refuseInside(process.pid, own)).rejects.toMatchObject({
        code: "invalid_input",
        message: `The node (pid ${process.pid}) that would be restarted has started this command itself`,
        hint: expect.stringContaining("systemd-run"),
      });
  } finally {
    process.kill(grandchild, "SIGKILL");
  }
});

test("a command beside it is not", async () => {
  const [a, b] = [start("sleep", "60"), start("sleep", "60")];
  await refuseInside(a.pid, b.pid);
  await refuseInside(a.pid, process.pid);
});
