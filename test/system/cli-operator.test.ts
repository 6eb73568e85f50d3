// What an operator types about a running node: waiting for it, its settings read again, the levels of its log, and an
// archive for somebody who helps.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { finished } from "../../scripts/finished.ts";
import { type DevNode, startDevNode } from "../kit/dev-node.ts";
import { eventually } from "../kit/eventually.ts";

let node: DevNode;

beforeAll(async () => {
  node = await startDevNode();
}, 60_000);

afterAll(() => node[Symbol.asyncDispose]());

const cairn = (...words: string[]) => node.cairn([...words, "--data", node.dataDir]);

describe("cairn wait", () => {
  test("a node that runs has a leader, takes calls and is at its own position", async () => {
    const { position } = JSON.parse((await cairn("status", "--json")).out);
    const waited = await cairn("wait", "--ready", "--leader", "--position", position, "--json");
    expect(waited).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse(waited.out)).toMatchObject({ met: true, missing: [] });
    const [epoch] = position.split("-");
    const ahead = await cairn("wait", "--position", `${epoch}-99999`, "--timeout", "0");
    expect(ahead).toMatchObject({ code: 3, out: "", err: expect.stringContaining("not yet at") });
    expect((await cairn("wait", "--position", "0000000000-1")).code).toBe(5);
    expect((await cairn("wait", "--timeout", "x")).code).toBe(2);
  });

  test("it begins before the node does", async () => {
    const folder = `${node.home}/later`;
    const waiter = spawn("wait", "--data", folder, "--timeout", "600");
    await eventually("the handler of signals", () => isCaught(waiter.pid));
    expect(waiter.exitCode).toBeNull();
    const later = spawn("dev", "--data", folder, "--port", "0");
    const waited = await finished(waiter);
    later.kill("SIGTERM");
    await finished(later);
    expect(waited).toMatchObject({ code: 0, out: "", err: "" });
  });

  test("a signal ends it", async () => {
    const never = spawn("wait", "--data", `${node.home}/nothing`, "--timeout", "600");
    await eventually("the handler of signals", () => isCaught(never.pid));
    never.kill("SIGTERM");
    expect(await finished(never)).toMatchObject({ code: 143, out: "", err: "" });
    expect(never.signalCode).toBeNull();
  });
});

describe("cairn reload and log-level", () => {
  let own: Bun.Subprocess<"ignore", "pipe", "pipe">;
  let logged = "";
  const folder = () => `${node.home}/reloaded`;
  const run = (...words: string[]) => node.cairn([...words, "--data", folder()]);
  const settings = (text: string) => writeFileSync(`${node.home}/own.toml`, text);

  beforeAll(async () => {
    settings('[log]\nlevel = "warning"\n');
    // A relative file: the node changes its working folder after the start.
    own = spawn("dev", "--data", folder(), "--port", "0", "--config", "own.toml");
    void (async () => {
      for await (const chunk of own.stderr) logged += new TextDecoder().decode(chunk);
    })();
    expect((await run("wait", "--timeout", "60")).code).toBe(0);
  }, 60_000);

  afterAll(async () => {
    own.kill("SIGTERM");
    await own.exited;
  });

  test("a level of the file is in force at once, another setting needs a restart, a bad file changes nothing", async () => {
    const levelOf = async () => JSON.parse((await run("log-level", "--json")).out).level;
    settings('hostname = "other"\n[log]\nlevel = "info"\n');
    const read = await run("reload");
    expect(read).toMatchObject({
      code: 0,
      out: expect.stringMatching(/own.toml\nin force now: log.level\n.*: hostname\n$/),
    });
    expect(await levelOf()).toBe("info");
    expect((await run("status", "--json")).out).toContain('"restart_needed"');
    settings('[log]\nlevel = "loud"\n');
    expect(await run("reload")).toMatchObject({ code: 20, out: "", err: expect.stringContaining("log.level") });
    expect((await run("status", "--json")).out).toContain('"settings_invalid"');
    expect(await levelOf()).toBe("info");
    settings('[log]\nlevel = "error"\n');
    own.kill("SIGHUP");
    await eventually("the level of the file", async () => (await levelOf()) === "error");
  });

  test("one part is set and shown, another one is refused", async () => {
    const set = await run("log-level", "node=debug");
    expect(set).toMatchObject({ code: 0, out: expect.stringMatching(/^all +error\nnode +debug \(set for it\)\n$/) });
    settings('[log]\nlevel = "info"\n');
    expect((await run("reload")).out).toContain("in force now: log.level");
    const { parts } = JSON.parse((await run("log-level", "--json")).out);
    expect(parts).toContainEqual({ part: "node", level: "debug", own: true });
    expect(await run("log-level", "nod=debug")).toMatchObject({ code: 2, err: expect.stringContaining("mean node?") });
    expect((await run("log-level", "node")).code).toBe(2);
    // From the level info on the change itself is a line.
    await run("log-level", "node=default");
    await eventually("the line of the change", () => logged.includes("set log levels: node default"));
  });
});

test("the archive of the doctor has the node's report and metrics, and nothing that agents wrote or hold", async () => {
  await node.cairn(["context", "put", "--data", node.dataDir, "team-a/plan"], "PLANTED-content");
  const { out } = await cairn("call", "agent_register", '{"name":"smith"}');
  const [handle = "none"] = /agent-[0-9a-f]{32}/.exec(out) ?? [];
  const path = `${node.home}/bundle.tar.gz`;
  const made = await cairn("doctor", "--bundle", path);
  expect(made.err).toContain(`wrote ${path} with 8 files`);
  const text = Buffer.from(Bun.gunzipSync(await Bun.file(path).bytes())).toString();
  for (const secret of ["PLANTED-content", handle]) expect(text).not.toContain(secret);
  for (const known of ['"uptime_seconds"', "# TYPE cairn_", '"setting": "hostname"', '"level": "'])
    expect(text).toContain(known);
  expect(text).not.toContain('"error": "');
  expect((await cairn("doctor", "--bundle", path)).code).toBe(45);
});

const spawn = (...words: string[]) =>
  Bun.spawn({
    cmd: [...node.command, ...words],
    cwd: node.home,
    env: { PATH: process.env["PATH"] ?? "", HOME: node.home, TMPDIR: node.home },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });

/** Reports whether a process handles SIGTERM itself (bit 14 of the mask that Linux shows). */
async function isCaught(pid: number): Promise<boolean> {
  const [, mask = "0"] = /SigCgt:\s+([0-9a-f]+)/.exec(await Bun.file(`/proc/${pid}/status`).text()) ?? [];
  return (BigInt(`0x${mask}`) & (1n << 14n)) !== 0n;
}
