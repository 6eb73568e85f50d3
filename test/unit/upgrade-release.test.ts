// Where cairn upgrade gets an executable from: releases on a server and in a folder, single files; right, changed,
// truncated, unsigned and unreachable ones.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openRelease } from "../../src/cli/upgrade/release.ts";
import { RELEASE_NAME, RELEASE_TARGET, startRelease } from "../kit/release.ts";

const EXECUTABLE = '#!/bin/sh\necho "cairn 1.2.3 $*"\n';
const HASH = createHash("sha256").update(EXECUTABLE).digest("hex");
const NEVER = new AbortController().signal;

let release: ReturnType<typeof startRelease>;
let to: string;
beforeEach(() => {
  release = startRelease(EXECUTABLE);
  to = join(release.folder, "new");
});
afterEach(() => release[Symbol.dispose]());

async function load(from: string, options: { key?: string; sha256?: string; signal?: AbortSignal } = {}) {
  const { key: keyFile, sha256, signal = NEVER } = options;
  const invocation = { args: [], options: {}, env: {} };
  const found = await openRelease({ from, keyFile, sha256, invocation }, RELEASE_TARGET.name, signal);
  await found.write(to, signal);
  return { ...found, text: readFileSync(to, "utf8") };
}

test("a release on a server and in a folder, with a key and without", async () => {
  for (const from of [release.url, `${release.url}/`, release.dist, join(release.dist, RELEASE_NAME)]) {
    for (const key of [undefined, release.key("public")]) {
      const found = await load(from, key === undefined ? {} : { key });
      expect(found).toMatchObject({ sha256: HASH, text: EXECUTABLE, isSigned: key !== undefined });
      expect(found.place).toEndWith(RELEASE_NAME);
      rmSync(to);
    }
  }
});

test("a single file needs its checksum, and has no signature", async () => {
  const file = join(release.folder, "cairn");
  writeFileSync(file, EXECUTABLE);
  await expect(load(file)).rejects.toMatchObject({ code: "invalid_input", hint: expect.stringContaining("--sha256") });
  await expect(load(file, { sha256: HASH, key: release.key("public") })).rejects.toThrow("no signature");
  await expect(load(file, { sha256: HASH.replace(/^./, "x") })).rejects.toThrow("64 hex digits");
  await expect(load(file, { sha256: "0".repeat(64) })).rejects.toMatchObject({ code: "data_corrupt" });
  rmSync(to);
  expect(await load(file, { sha256: HASH })).toMatchObject({ text: EXECUTABLE, isSigned: false });
});

const ZEROS = "0".repeat(64);
test.each<[string, () => [string, string | Uint8Array | (() => Response)], string, string]>([
  ["a changed file", () => [RELEASE_NAME, EXECUTABLE.replace("echo", "rm  ")], "data_corrupt", "has the SHA-256"],
  ["a truncated file", () => [RELEASE_NAME, EXECUTABLE.slice(0, -5)], "data_corrupt", "has the SHA-256"],
  ["no file", () => [RELEASE_NAME, ""], "not_found", "was answered with 404"],
  ["no checksums", () => ["SHA256SUMS", ""], "not_found", "was answered with 404"],
  ["an error", () => ["SHA256SUMS", () => new Response("", { status: 500 })], "unavailable", "was answered with 500"],
  ["checksums of others", () => ["SHA256SUMS", `${ZEROS}  cairn-plan9-x64\n`], "data_corrupt", "has not one line"],
  ["two checksums", () => ["SHA256SUMS", `${ZEROS}  ${RELEASE_NAME}\n`.repeat(2)], "data_corrupt", "has not one line"],
  ["a page in their place", () => ["SHA256SUMS", "<html>sign in</html>"], "data_corrupt", "has not one line"],
  ["endless checksums", () => ["SHA256SUMS", "x".repeat(70_000)], "data_corrupt", "more than 65536 bytes"],
  ["a redirect to another protocol", () => ["SHA256SUMS", moved("ftp://127.0.0.1/x")], "invalid_input", "not https"],
  ["a redirect without end", () => ["SHA256SUMS", moved("SHA256SUMS")], "unavailable", "leads on more than 5 times"],
])("%s: nothing is written", async (_what, planted, code, said) => {
  release.served.set(...planted());
  await expect(load(release.url)).rejects.toMatchObject({ code, message: expect.stringContaining(said) });
  expect(existsSync(to) && readFileSync(to, "utf8") === EXECUTABLE).toBe(false);
});

const moved = (to: string) => () => new Response("", { status: 302, headers: { location: to } });

test("a redirect is followed", async () => {
  release.served.set("SHA256SUMS", moved("/r/elsewhere"));
  release.served.set("elsewhere", readFileSync(join(release.dist, "SHA256SUMS"), "utf8"));
  expect((await load(release.url)).text).toBe(EXECUTABLE);
});

test("with a key the signature counts", async () => {
  const wrong = (key: string) => load(release.url, { key });
  await expect(wrong(release.key("other"))).rejects.toMatchObject({ code: "data_corrupt" });
  await expect(wrong(join(release.dist, "SHA256SUMS"))).rejects.toMatchObject({ code: "invalid_input" });
  release.served.set("SHA256SUMS.sig", "");
  await expect(wrong(release.key("public"))).rejects.toMatchObject({ code: "not_found" });
  release.served.set("SHA256SUMS.sig", new Uint8Array(64));
  await expect(wrong(release.key("public"))).rejects.toMatchObject({ code: "data_corrupt" });
  release.served.clear();
  release.served.set("SHA256SUMS", `${readFileSync(join(release.dist, "SHA256SUMS"), "utf8")}\n`);
  await expect(wrong(release.key("public"))).rejects.toMatchObject({ code: "data_corrupt" });
  expect(existsSync(to)).toBe(false);
});

test("a checksum that was published elsewhere must be that of the release", async () => {
  await expect(load(release.url, { sha256: ZEROS })).rejects.toThrow(`not ${ZEROS}`);
  expect((await load(release.url, { sha256: HASH })).text).toBe(EXECUTABLE);
});

test("addresses that are none, or not safe, are refused before anything is asked", async () => {
  const said: [string, string][] = [
    ["http://example.com/r", "is not https"],
    ["https://user:pw@example.com/r", "is not the address of a release"],
    ["https://example.com/r?x=1", "is not the address of a release"],
    ["https://", "is not the address of a release"],
    [join(release.folder, "no-such"), "There is no file or folder"],
    [release.folder, "is no folder of a release"],
    ["blob:team/123", "is no SHA-256 of a blob"],
  ];
  for (const [from, text] of said) await expect(load(from)).rejects.toThrow(text);
  const blob = `blob:team/${HASH}`;
  await expect(load(blob, { key: release.key("public") })).rejects.toThrow("no signature");
  await expect(load(blob, { sha256: ZEROS })).rejects.toMatchObject({ code: "data_corrupt" });
  expect(release.asked).toEqual([]);
});

test("a transfer ends with its signal", async () => {
  const stop = new AbortController();
  const stalled = new ReadableStream({ pull: () => new Promise(() => {}) });
  release.served.set(RELEASE_NAME, () => new Response(stalled));
  const loaded = load(release.url, { signal: stop.signal });
  setTimeout(() => stop.abort(new Error("stopped by the test")), 100);
  await expect(loaded).rejects.toThrow("stopped by the test");
});
