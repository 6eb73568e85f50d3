// The compiled file of this machine: it says what it is made of, and what lies in the folder where it is started
// changes nothing.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { finished } from "../../scripts/finished.ts";
import { host } from "../../scripts/targets.ts";
import { buildDist } from "../kit/dist.ts";
import { startNode } from "../kit/node.ts";
import { TestTailnet } from "../kit/tailnet.ts";

let cairn: string;
let base: string;
let hostile: string;
let clean: string;

beforeAll(async () => {
  if (host === undefined) throw new Error("this machine is none that Cairn is built for");
  cairn = await buildDist(host.name);
  base = mkdtempSync(join(tmpdir(), "cairn-build-"));
  hostile = join(base, "hostile");
  clean = join(base, "clean");
  mkdirSync(hostile);
  mkdirSync(clean);
  for (const trap of Object.keys(TRAPS)) plant(trap, hostile);
}, 600_000);
afterAll(() => rmSync(base, { recursive: true, force: true }));

const marker = () => join(base, "marker");
beforeEach(() => rmSync(marker(), { force: true }));

/** Files that make Bun run or believe something, by name of the trap. Each is shown to work on Bun itself below. */
const TRAPS: Record<string, Record<string, string>> = {
  environment: Object.fromEntries(
    [".env", ".env.local", ".env.development", ".env.production"].map((name) => [
      name,
      "CAIRN_HOSTNAME=evil\nCAIRN_DATA=/nonexistent/evil\n",
    ]),
  ),
  preload: { "bunfig.toml": 'preload = ["./evil.ts"]\n[run]\npreload = ["./evil.ts"]\n' },
  paths: {
    "tsconfig.json": '{"compilerOptions":{"paths":{"*":["./evil.ts"]}}}',
    "package.json": '{"name":"evil","main":"evil.ts"}',
  },
};

function plant(trap: string, folder: string): void {
  writeFileSync(join(folder, "evil.ts"), `require("node:fs").writeFileSync(${JSON.stringify(marker())}, "ran");`);
  for (const [name, content] of Object.entries(TRAPS[trap] ?? {})) writeFileSync(join(folder, name), content);
}

async function run(cmd: string[], cwd: string) {
  const env = { PATH: process.env["PATH"] ?? "", HOME: join(base, "home"), TMPDIR: base };
  const child = Bun.spawn({ cmd, cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  return finished(child);
}

describe("version", () => {
  test("--json names what it is made of", async () => {
    const { out, code } = await run([cairn, "version", "--json"], clean);
    expect(code).toBe(0);
    const said: Record<string, string> = JSON.parse(out);
    expect(said).toMatchObject({ version: manifest.version, bun: Bun.version });
    expect(said["commit"]).toMatch(/^([0-9a-f]{12}(-dirty)?|unknown)$/);
    expect(said["tailscale"]).toMatch(/^\d+\.\d+\.\d+$/);
    expect(said["go"]).toMatch(/^go1\.\d+/);
    expect(said["sqlite"]).toMatch(/^3\.\d+\.\d+$/);
  });
});

describe("a hostile working folder", () => {
  // Without this, the tests below could pass because the traps do not work at all.
  test.each(Object.keys(TRAPS))("the trap %s does work on Bun itself", async (trap) => {
    const folder = mkdtempSync(join(base, "trap-"));
    plant(trap, folder);
    const script = join(clean, "plain.ts");
    writeFileSync(script, "console.log(process.env.CAIRN_HOSTNAME)");
    const { out } = await run([process.execPath, script], folder);
    expect(trap === "environment" ? out.trim() === "evil" : existsSync(marker())).toBe(true);
  });

  test.each([[["version", "--json"]], [["status"]]])("changes nothing for %j", async (args) => {
    const there = await run([cairn, ...args], hostile);
    const here = await run([cairn, ...args], clean);
    expect(there).toEqual(here);
    expect(`${there.out}${there.err}`).not.toContain("evil");
    expect(existsSync(marker())).toBe(false);
  });
});

describe("a node", () => {
  let control: TestTailnet;
  beforeAll(async () => {
    control = await TestTailnet.start();
  }, 120_000);
  afterAll(async () => {
    await control?.[Symbol.asyncDispose]();
  }, 20_000);

  test("in a hostile working folder, and without a temporary folder, it serves under its own name", async () => {
    const tailnet = control;
    const env = { TMPDIR: join(base, "gone"), BUN_TMPDIR: join(base, "gone"), XDG_RUNTIME_DIR: base };
    await using node = await startNode({ tailnet, from: "binary", hostname: "mine", cwd: hostile, env });
    expect((await node.serving()).name).toStartWith("mine");
    expect(existsSync(marker())).toBe(false);
    expect(await node.stop()).toMatchObject({ code: 0, signal: null });
  }, 60_000);

  test("a library that was damaged, cut or replaced between two starts is healed, and said", async () => {
    const dataDir = join(base, "data");
    const harms: ((path: string) => void)[] = [
      (path) => writeFileSync(path, Buffer.alloc(Bun.file(path).size)),
      (path) => truncateSync(path, 4096),
      (path) => {
        rmSync(path);
        symlinkSync("/bin/true", path);
      },
    ];
    {
      await using first = await startNode({ tailnet: control, from: "binary", hostname: "healed", dataDir });
      await first.stop();
    }
    const [name = ""] = readdirSync(join(dataDir, "lib"));
    const path = join(dataDir, "lib", name);
    const sha256 = () => createHash("sha256").update(readFileSync(path)).digest("hex");
    const right = sha256();
    expect(name).toStartWith(right);
    for (const harm of harms) {
      harm(path);
      await using node = await startNode({ tailnet: control, from: "binary", hostname: "healed", dataDir });
      expect(sha256()).toBe(right);
      await node.logged("is replaced");
      await node.stop();
    }
  }, 120_000);
});
