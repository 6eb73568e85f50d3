// What a node would tell, and cannot: a full disk behind its log, streams that are closed, a folder that is gone. It
// serves all the same.

import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../kit/eventually.ts";
import { freePort } from "../kit/free-port.ts";
import { cairnCommand } from "../kit/node.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const children: Bun.Subprocess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
});

/** Starts `cairn dev` with its streams redirected as in a shell, and waits until it is ready. */
async function serveWith(redirections: string, home = temporaryFolder(), folder = home) {
  const port = freePort();
  const words = [...(await cairnCommand("source")), "dev", "--port", String(port), "--data", join(home, "data")];
  const child = Bun.spawn({
    cmd: ["bash", "-c", `exec "$@" ${redirections}`, "bash", ...words],
    cwd: folder,
    env: { PATH: process.env["PATH"] ?? "", HOME: home, TMPDIR: home },
    stdio: ["ignore", "ignore", "ignore"],
  });
  children.push(child);
  const url = `http://127.0.0.1:${port}`;
  await eventually("the node", async () => {
    expect(child.exitCode).toBeNull();
    return (await fetch(`${url}/ready`).catch(() => undefined))?.ok === true ? true : undefined;
  });
  return { url, child, home };
}

test.each([
  ["a full disk behind both streams", ">/dev/full 2>/dev/full"],
  ["a full disk behind stderr", "2>/dev/full"],
  ["both streams closed", ">&- 2>&-"],
  ["a reader that is gone", "> >(true) 2>&1"],
])("a node serves, writes and stops with %s", async (_name, redirections) => {
  const { url, child } = await serveWith(redirections);
  const headers = { "content-type": "text/markdown" };
  const put = await fetch(`${url}/contexts/team-a/plan`, { method: "PUT", body: "# Plan", headers });
  expect(put.status).toBe(201);
  expect(await (await fetch(`${url}/contexts/team-a/plan`)).text()).toBe("# Plan");
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
});

test("the folder in which a node was started may be removed: its children still start", async () => {
  const home = temporaryFolder();
  const folder = join(home, "started-here");
  mkdirSync(folder);
  await serveWith("", home, folder);
  rmSync(folder, { recursive: true });
  const made = Bun.spawnSync({
    cmd: [...(await cairnCommand("source")), "backup", "now", "--data", join(home, "data")],
    cwd: home,
    env: { PATH: process.env["PATH"] ?? "", HOME: home, TMPDIR: home },
  });
  expect({ code: made.exitCode, err: made.stderr.toString() }).toEqual({ code: 0, err: "" });
  expect(existsSync(folder)).toBe(false);
  expect(readdirSync(join(home, "data", "backups"))).toHaveLength(1);
});
