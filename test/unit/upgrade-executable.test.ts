// The exchange of an executable: staging, versions, the earlier file, and places where it is refused.

import { beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Executable, isOlder } from "../../src/cli/upgrade/executable.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const script = (version: string, more = "") =>
  `#!/bin/sh\n${more}[ "$1 $2" = "version --json" ] && echo '{"version":"${version}","commit":"c-${version}","level":3,"bun":"1"}'\n`;

let folder: string;
let executable: Executable;
beforeEach(() => {
  folder = temporaryFolder();
  const path = join(folder, "cairn");
  writeFileSync(path, script("1.0.0"));
  chmodSync(path, 0o750);
  executable = new Executable(path);
});

const stage = (text: string) =>
  executable.stage(async (path) => {
    writeFileSync(path, text, { mode: 0o600 });
  });

test("a new file takes the place of the old one, with its rights; the old one can be put back, and that undone", async () => {
  {
    await using staged = await stage(script("2.0.0"));
    expect(staged).toMatchObject({ version: "2.0.0", commit: "c-2.0.0", level: 3 });
    executable.put(staged.path);
  }
  expect(readdirSync(folder).sort()).toEqual(["cairn", "cairn.previous"]);
  const [now, before] = [executable.path, executable.previousPath].map((path) => readFileSync(path, "utf8"));
  expect([now, before]).toEqual([script("2.0.0"), script("1.0.0")]);
  expect([executable.path, executable.previousPath].map((path) => statSync(path).mode & 0o777)).toEqual([0o750, 0o750]);
  expect(await executable.previous()).toMatchObject({ version: "1.0.0" });
  executable.putBack();
  expect(readFileSync(executable.path, "utf8")).toBe(script("1.0.0"));
  expect(await executable.previous()).toMatchObject({ version: "2.0.0" });
  executable.putBack();
  expect(readFileSync(executable.path, "utf8")).toBe(script("2.0.0"));
  expect(readdirSync(folder).sort()).toEqual(["cairn", "cairn.previous"]);
});

test("a way back that fails half way loses no file", async () => {
  {
    await using staged = await stage(script("2.0.0"));
    executable.put(staged.path);
  }
  rmSync(executable.path);
  mkdirSync(executable.path);
  expect(() => executable.putBack()).toThrow();
  expect(readFileSync(executable.previousPath, "utf8")).toBe(script("1.0.0"));
  expect(readdirSync(folder).sort()).toEqual(["cairn", "cairn.previous"]);
});

test.each([
  ["ends with an error", "#!/bin/sh\necho not for this processor >&2\nexit 126\n", "not for this processor"],
  ["prints something else", "#!/bin/sh\necho hello\n", "code 0"],
  ["is no program", "hello", ""],
])("a file that %s is not put in place, and leaves nothing", async (_what, text, said) => {
  await expect(stage(text)).rejects.toThrow(said);
  expect(readdirSync(folder)).toEqual(["cairn"]);
  expect(readFileSync(executable.path, "utf8")).toBe(script("1.0.0"));
});

test("what fails while it is written leaves nothing", async () => {
  const failing = executable.stage(async (path) => {
    writeFileSync(path, "half");
    throw new Error("the line broke");
  });
  await expect(failing).rejects.toThrow("the line broke");
  expect(readdirSync(folder)).toEqual(["cairn"]);
  await expect(async () => executable.previous()).toThrow("nothing was upgraded here");
});

test("a new file gets nothing of this process's environment but what a program needs", async () => {
  const more = `[ -z "$TS_AUTHKEY$CAIRN_DATA" ] || exit 1\n`;
  process.env["TS_AUTHKEY"] = "tskey-of-the-test";
  try {
    await using staged = await stage(script("2.0.0", more));
    expect(staged.version).toBe("2.0.0");
  } finally {
    delete process.env["TS_AUTHKEY"];
  }
});

test("files of a package manager are left to it", async () => {
  for (const place of ["Cellar/cairn/1.0.0/bin", "nix/store/x-cairn/bin"]) {
    mkdirSync(join(folder, place), { recursive: true });
    await expect(new Executable(join(folder, place, "cairn")).refuseOwned()).rejects.toThrow("belongs to a package");
  }
});

test.skipIf(Bun.which("dpkg") === null)("a file of a Debian package is left to it [needs dpkg]", async () => {
  const owned = new Executable("/usr/bin/dpkg");
  await expect(owned.refuseOwned()).rejects.toMatchObject({
    message: "/usr/bin/dpkg belongs to the package dpkg, which would not know of another one",
  });
});

test.skipIf(process.platform !== "linux")("a folder that cannot be written to is said [needs Linux]", async () => {
  await expect(new Executable("/proc/cairn").refuseOwned()).rejects.toMatchObject({ code: "forbidden" });
});

test("versions are compared by their numbers", () => {
  const ordered = ["0.9.10", "0.10.0-rc1", "0.10.0-rc2", "0.10.0", "v0.10.1", "1.0", "1.0.1", "10.0.0"];
  for (const [at, a] of ordered.entries())
    for (const [other, b] of ordered.entries()) expect([a, b, isOlder(a, b)]).toEqual([a, b, at < other]);
});
