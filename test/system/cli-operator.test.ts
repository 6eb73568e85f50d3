// What an operator types about a running node: waiting for it.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
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

const spawn = (...words: string[]) =>
  Bun.spawn({
    cmd: [...node.command, ...words],
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
