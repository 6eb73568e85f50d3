// The local socket with `cli.group` (security.md 16): open to the members of that group, as admin, and to nobody else;
// the sockets between the halves stay closed to them.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, lstatSync } from "node:fs";
import { dirname, join } from "node:path";
import { spawnNode, type TestNode } from "../kit/node.ts";

const isRoot = process.getuid?.() === 0 && Bun.which("setpriv") !== null;
const GROUP = "54321";
const NOBODY = "65534";

let node: TestNode;
let folder: string;
/** A Bun that every user may run. */
let bun: string;

beforeAll(async () => {
  if (!isRoot) return;
  node = await spawnNode({ args: ["--conformance", "--cli-group", GROUP] });
  folder = dirname((await node.ready()).socket);
  // The folder above is opened, so that it is the socket's own folder that lets in or keeps out.
  chmodSync(node.home, 0o755);
  bun = join(node.home, "bun");
  await Bun.write(bun, Bun.file(process.execPath));
  chmodSync(bun, 0o755);
}, 60_000);
afterAll(async () => {
  await node?.[Symbol.asyncDispose]();
}, 60_000);

/** Asks who it is, by a socket, as another user with these groups. */
function askAs(groups: string[], socket: string): string {
  const script = `
    try {
      const init = { unix: ${JSON.stringify(socket)}, method: "POST", body: "{}", headers: { "content-type": "application/json" } };
      const answer = await fetch("http://cairn/operations/whoami", init);
      console.log("in", answer.status, await answer.text());
    } catch (error) { console.log("out", error.code); }`;
  const [first = NOBODY, ...more] = groups;
  const supplementary = more.length === 0 ? ["--clear-groups"] : ["--groups", more.join(",")];
  const asked = Bun.spawnSync({
    cmd: ["setpriv", "--reuid", NOBODY, "--regid", first, ...supplementary, bun, "-e", script],
    cwd: "/",
    env: { PATH: "/usr/bin:/bin", HOME: "/tmp" },
  });
  return asked.stdout.toString();
}

test.skipIf(!isRoot)("members of the group are admin by it, others are out [needs root and setpriv]", () => {
  const socket = join(folder, "cairn.sock");
  for (const groups of [[GROUP], [NOBODY, GROUP]]) {
    const answer = askAs(groups, socket);
    expect(answer).toMatch(/^in 200 /);
    expect(answer).toContain('"role":"admin"');
  }
  expect(askAs([NOBODY], socket)).toMatch(/^out /);
});

test.skipIf(!isRoot)("the group sees nothing else of the node [needs root and setpriv]", () => {
  const mode = (path: string) => (lstatSync(path).mode & 0o777).toString(8);
  expect([mode(folder), mode(join(folder, "cairn.sock")), mode(join(folder, "node")), mode(node.dataDir)]).toEqual([
    "710",
    "660",
    "700",
    "700",
  ]);
});

test.skipIf(!isRoot)("a group that does not exist refuses the start by its name [needs root and setpriv]", async () => {
  await using refused = await spawnNode({ args: ["--conformance", "--cli-group", "no-such-group"] });
  const { code, err } = await refused.exited();
  expect(code).toBe(20);
  expect(err).toContain("no-such-group");
});
