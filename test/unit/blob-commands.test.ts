// cairn blob put, get and rm: what they say where a file, a folder or a member is missing.

import { expect, spyOn, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { blobGetCommand } from "../../src/cli/blob/get.ts";
import { blobPutCommand } from "../../src/cli/blob/put.ts";
import { featureCommands } from "../../src/cli/feature-commands.ts";
import { blobFeature } from "../../src/features/blob/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { sampleBlob, startBlobs } from "../kit/blobs.ts";
import { temporaryFolder } from "../kit/temporary.ts";

async function faultOf(run: Promise<unknown>): Promise<Fault> {
  const error = await run.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof Fault) return error;
  throw new Error(`no Fault: ${String(error)}`);
}

/** Serves the members of a test's fleet to commands. */
function served(further: readonly string[] = []) {
  const world = startBlobs(further);
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      const { method, headers } = request;
      return world.http(`${pathname}${search}`, { method, headers, body: await request.arrayBuffer() });
    },
  });
  const said: string[] = [];
  const stderr = spyOn(process.stderr, "write").mockImplementation((text) => said.push(String(text)) > 0);
  const words = (args: readonly string[], options: Record<string, unknown> = {}) => ({
    ...{ args, env: {} },
    options: { url: [`http://127.0.0.1:${server.port}`], json: true, ...options },
  });
  const stop = async () => {
    stderr.mockRestore();
    await server.stop(true);
    await world[Symbol.asyncDispose]();
  };
  return { world, said, words, [Symbol.asyncDispose]: stop };
}

test("blob put takes files alone, and stores their type by name", async () => {
  await using node = served();
  const folder = temporaryFolder();
  const put = (path: string, options = {}) => blobPutCommand.run(node.words([path], options));
  for (const [path, said, hint] of [
    ["-", "stdin", "first"],
    [folder, "is a folder", "tar"],
    ["/dev/null", "no regular file", "first"],
    [join(folder, "none.png"), "Cannot read", "Name a file"],
  ] as const) {
    const fault = await faultOf(put(path));
    expect([fault.code, fault.message, fault.hint]).toEqual([
      "invalid_input",
      expect.stringContaining(said),
      expect.stringContaining(hint),
    ]);
  }
  for (const [name, type] of [
    ["a.png", "image/png"],
    ["b.md", "text/markdown"],
    ["c.what", "application/octet-stream"],
    ["d.png", "text/x-own"],
  ] as const) {
    writeFileSync(join(folder, name), name);
    expect(await put(join(folder, name), type === "text/x-own" ? { type } : {})).toBe(0);
  }
  const { blobs } = await node.world.call("blob_list", {});
  const types = (blobs as { content_type: string }[]).map(({ content_type }) => content_type);
  expect(types.sort()).toEqual(["application/octet-stream", "image/png", "text/markdown", "text/x-own"]);
  expect(node.said).toEqual([]);
});

test("blob put names the members for which it waits, ends, and says how to go on", async () => {
  await using node = served(["b"]);
  Object.assign(node.world.fleet.get("b") ?? {}, { isAway: true });
  const path = join(temporaryFolder(), "in");
  writeFileSync(path, "hello");
  const fault = await faultOf(blobPutCommand.run(node.words([path], { timeout: "1" })));
  expect([fault.code, fault.message]).toEqual(["unavailable", expect.stringContaining("1 of the 2 members wanted")]);
  expect(fault.message).toContain("b does not answer");
  expect(fault.hint).toContain("--copies 1");
  expect(node.said).toHaveLength(1);
  expect(node.said[0]).toContain("b does not answer");
  expect(await blobPutCommand.run(node.words([path], { copies: "1" }))).toBe(0);
});

test("blob get into a folder that is missing says how to make it", async () => {
  await using node = served();
  const { data, sha256 } = sampleBlob(100);
  await node.world.put(data, { space: "default" });
  const folder = join(temporaryFolder(), "out");
  const get = () => blobGetCommand.run(node.words([sha256], { to: join(folder, "file") }));
  const fault = await faultOf(get());
  expect([fault.code, fault.hint]).toEqual(["invalid_input", `Make it first: mkdir -p ${folder}`]);
  mkdirSync(folder);
  expect(await get()).toBe(0);
  expect(readFileSync(join(folder, "file")).equals(data)).toBe(true);
  expect(existsSync(`${join(folder, "file")}.${sha256.slice(0, 16)}.partial`)).toBe(false);
});

test("blob rm of a blob that the space has not is an error that names the space", async () => {
  await using node = served();
  const { data, sha256 } = sampleBlob(100);
  await node.world.put(data);
  const remove = featureCommands([blobFeature]).find(({ words }) => words[1] === "rm");
  if (remove === undefined) throw new Error("no command");
  const fault = await faultOf(remove.run(node.words([sha256])));
  expect([fault.code, fault.message, fault.hint]).toEqual([
    "not_found",
    `There is no blob ${sha256} in the space "default"`,
    expect.stringContaining("--space"),
  ]);
  expect(await remove.run(node.words([sha256], { space: "team-a", json: undefined }))).toBe(0);
});
