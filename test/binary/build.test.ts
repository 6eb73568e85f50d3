// The compiled file of this machine: it says what it is made of, and what lies in the folder where it is started changes nothing.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { host } from "../../scripts/targets.ts";
import { buildDist } from "../kit/dist.ts";

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
  const marked = `require("node:fs").writeFileSync(${JSON.stringify(marker())}, "ran");`;
  writeFileSync(join(hostile, "evil.ts"), marked);
  writeFileSync(
    join(hostile, "bunfig.toml"),
    'preload = ["./evil.ts"]\n[run]\npreload = ["./evil.ts"]\n[test]\npreload = ["./evil.ts"]\n',
  );
  for (const name of [".env", ".env.local", ".env.production", ".env.development"]) {
    writeFileSync(
      join(hostile, name),
      `CAIRN_DATA=${join(hostile, "data")}\nCAIRN_HOSTNAME=evil\nTS_AUTHKEY=evil\nXDG_RUNTIME_DIR=${hostile}\n`,
    );
  }
  writeFileSync(join(hostile, "tsconfig.json"), '{"compilerOptions":{"paths":{"*":["./evil.ts"]}}}');
  writeFileSync(join(hostile, "package.json"), '{"name":"evil","type":"commonjs","main":"evil.ts"}');
}, 600_000);
afterAll(() => rmSync(base, { recursive: true, force: true }));

const marker = () => join(base, "marker");

async function run(cmd: string[], cwd: string) {
  const env = { PATH: process.env["PATH"] ?? "", HOME: join(base, "home"), TMPDIR: base };
  const child = Bun.spawn({ cmd, cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { out, err, code };
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
  test("the traps do work on Bun itself", async () => {
    const script = join(clean, "plain.ts");
    writeFileSync(script, "console.log(process.env.CAIRN_HOSTNAME)");
    const { out } = await run([process.execPath, script], hostile);
    expect(out.trim()).toBe("evil");
    expect(existsSync(marker())).toBe(true);
    rmSync(marker());
  });

  test.each([[["version", "--json"]], [["status"]]])("changes nothing for %j", async (args) => {
    const there = await run([cairn, ...args], hostile);
    const here = await run([cairn, ...args], clean);
    expect(there).toEqual(here);
    expect(`${there.out}${there.err}`).not.toContain("evil");
    expect(existsSync(marker())).toBe(false);
    expect(existsSync(join(hostile, "data"))).toBe(false);
  });
});
