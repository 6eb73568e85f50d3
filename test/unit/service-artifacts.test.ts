// Archives of artifacts: what is refused of them, and what is unpacked of good ones.

import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Artifacts, KEPT_VERSIONS } from "../../src/features/service/artifacts.ts";
import { Fault } from "../../src/lib/fault.ts";
import { sha256Hex } from "../../src/lib/sha256.ts";
import { archiveOf, type Packed } from "../kit/archive.ts";

const data = mkdtempSync(join(tmpdir(), "cairn-artifacts-"));
afterEach(() => rmSync(join(data, "services"), { recursive: true, force: true }));

const signal = new AbortController().signal;

/** Unpacks bytes that come in parts of so many bytes. */
function unpack(bytes: Uint8Array, more: { hash?: string; part?: number; freeBytes?: number; entries?: number } = {}) {
  const { part = 1000, freeBytes, entries = 100 } = more;
  const artifacts = new Artifacts({
    data,
    fetch: async function* () {
      for (let at = 0; at < bytes.byteLength; at += part) yield bytes.slice(at, at + part);
    },
    bounds: { entries, bytes: 100_000 },
    ...(freeBytes === undefined ? {} : { freeBytes: () => freeBytes }),
  });
  return artifacts.folderOf("web", more.hash ?? sha256Hex(bytes), signal);
}

/** Nothing is left of what was refused. */
function expectNothing(): void {
  expect(existsSync(join(data, "services", "web"))).toBe(false);
  expect(readdirSync(join(data, "services", "_incoming"))).toEqual([]);
}

const GOOD: Packed[] = [
  { name: "bin", kind: "folder" },
  { name: "bin/run", content: "#!/bin/sh\necho hello\n", executable: true },
  { name: "empty", content: "" },
  { name: "large", content: "x".repeat(5000) },
  { name: `bin/${"long".repeat(24)}`, kind: "folder" },
  { name: `bin/${"long".repeat(24)}/${"name".repeat(20)}`, content: "deep" },
];

test("files and folders are unpacked as they were packed, whatever parts they come in", async () => {
  for (const part of [1, 511, 512, 100_000]) {
    rmSync(join(data, "services"), { recursive: true, force: true });
    const folder = await unpack(archiveOf(GOOD), { part });
    expect(readFileSync(join(folder, "bin/run"), "utf8")).toBe("#!/bin/sh\necho hello\n");
    expect(readFileSync(join(folder, "large"), "utf8")).toBe("x".repeat(5000));
    expect(readFileSync(join(folder, GOOD.at(-1)?.name ?? ""), "utf8")).toBe("deep");
    expect(statSync(join(folder, "bin/run")).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, "empty")).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(data, "services", "_incoming"))).toEqual([]);
  }
});

const changed = (change: (header: Buffer) => void) => archiveOf([{ name: "a", content: "x", change }]);
const cut = (bytes: Uint8Array, end: number) => bytes.slice(0, end);

test.each<[string, Uint8Array, RegExp]>([
  ["..", archiveOf([{ name: "a", change: (header) => header.write("../a\0") }]), /no plain relative path/],
  ["an inner ..", archiveOf([{ name: "a", change: (header) => header.write("b/../../a\0") }]), /plain relative/],
  ["an absolute path", archiveOf([{ name: "a", change: (header) => header.write("/etc/a\0") }]), /absolute path/],
  ["a prefix that is absolute", changed((header) => header.write("/etc\0", 345)), /absolute path/],
  ["a prefix with ..", changed((header) => header.write("..\0", 345)), /no plain relative path/],
  ["a symbolic link", changed((header) => header.write("2", 156)), /neither a file nor a folder/],
  ["a hard link", changed((header) => header.write("1", 156)), /neither a file nor a folder/],
  ["a target of a link", changed((header) => header.write("/etc/passwd", 157)), /is a link/],
  ["a character device", changed((header) => header.write("3", 156)), /neither a file nor a folder/],
  ["a block device", changed((header) => header.write("4", 156)), /neither a file nor a folder/],
  ["a pipe", changed((header) => header.write("6", 156)), /neither a file nor a folder/],
  ["a long name of GNU", changed((header) => header.write("L", 156)), /neither a file nor a folder/],
  ["a header of pax", changed((header) => header.write("x", 156)), /neither a file nor a folder/],
  ["setuid", changed((header) => header.write("0004755", 100)), /mode that changes the user/],
  ["a size in binary", changed((header) => header.writeUInt8(0x80, 124)), /no octal number/],
  ["a negative size", changed((header) => header.write("-0000000001", 124)), /no octal number/],
  ["a folder with bytes", archiveOf([{ name: "a", content: "x", change: (h) => h.write("5", 156) }]), /has bytes/],
  ["another format", changed((header) => header.write("ustaR", 257)), /no archive of the format ustar/],
  ["a name that is no UTF-8", changed((header) => header.writeUInt8(0xff, 0)), /no UTF-8/],
  ["a control character", changed((header) => header.write("a\nb\0", 0)), /control character/],
  ["a name twice", archiveOf([{ name: "a" }, { name: "a" }]), /there twice/],
  ["names that a Mac takes as one", archiveOf([{ name: "a" }, { name: "A" }]), /there twice/],
  ["a file below a file", archiveOf([{ name: "a" }, { name: "a/b" }]), /below a file/],
  ["a file before its folder", archiveOf([{ name: "b/a" }]), /before its folder/],
  ["a wrong checksum", cut(archiveOf(GOOD), 3072).map((byte, at) => (at === 3 ? byte + 1 : byte)), /checksum/],
  ["an archive that is cut off in a file", cut(archiveOf(GOOD), 1030), /cut off/],
  ["an archive without an end", cut(archiveOf(GOOD), archiveOf(GOOD).byteLength - 1024), /cut off/],
  ["nothing", new Uint8Array(0), /cut off/],
  ["something after its end", Buffer.concat([archiveOf(GOOD), Buffer.from("x")]), /follows its end/],
  ["too many bytes", changed((header) => header.write("77777777777\0", 124)), /more than 100000 bytes/],
])("an archive with %s is refused, and leaves nothing", async (_what, bytes, problem) => {
  const refusal = await unpack(bytes).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(Fault);
  expect((refusal as Fault).message).toMatch(problem);
  expectNothing();
});

test("too many entries, a wrong hash and a full disk leave nothing", async () => {
  await expect(unpack(archiveOf(GOOD), { entries: 3 })).rejects.toMatchObject({ code: "invalid_input" });
  expectNothing();
  await expect(unpack(archiveOf(GOOD), { hash: "0".repeat(64) })).rejects.toMatchObject({
    code: "invalid_input",
    message: expect.stringContaining("not 0000"),
  });
  expectNothing();
  await expect(unpack(archiveOf(GOOD), { freeBytes: 4000 })).rejects.toMatchObject({ code: "storage_full" });
  expectNothing();
});

test("what a killed process left is removed, a folder that is whole is not fetched again", async () => {
  const bytes = archiveOf(GOOD);
  await unpack(bytes);
  await Bun.write(join(data, "services", "_incoming", "left.1", "bin", "run"), "half");
  expect(await unpack(archiveOf([{ name: "other", content: "y" }]))).toContain("web");
  expect(readdirSync(join(data, "services", "_incoming"))).toEqual([]);
  // Nothing is fetched: these bytes have another hash.
  expect(await unpack(new Uint8Array(1), { hash: sha256Hex(bytes) })).toEndWith(sha256Hex(bytes));
});

test("the newest versions stay, the older ones are removed", async () => {
  const folders: string[] = [];
  for (let n = 0; n < KEPT_VERSIONS + 2; n += 1)
    folders.push(await unpack(archiveOf([{ name: `v${n}`, content: "" }])));
  expect(folders.map((folder) => existsSync(folder))).toEqual([false, false, true, true, true]);
});
