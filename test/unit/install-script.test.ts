// The install script against a release on a local server: right, changed, truncated and unsigned files, and the files
// that the build puts beside the executables.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { finished } from "../../scripts/finished.ts";
import { homebrewFormula } from "../../scripts/release-files.ts";
import { RELEASE_NAME, RELEASE_TARGET, startRelease } from "../kit/release.ts";

const SCRIPT = join(import.meta.dir, "..", "..", "packaging", "install.sh");
/** Stands for the executable. */
const EXECUTABLE = '#!/bin/sh\necho "cairn 1.2.3 $*"\n';

let release: ReturnType<typeof startRelease>;
let to: string;

beforeEach(() => {
  release = startRelease(EXECUTABLE);
  to = join(release.folder, "bin");
});
afterEach(() => release[Symbol.dispose]());

const run = (...words: string[]) =>
  finished(
    Bun.spawn({
      cmd: ["sh", SCRIPT, "--to", to, ...words],
      env: { PATH: process.env["PATH"] ?? "", HOME: release.folder },
      stdout: "pipe",
      stderr: "pipe",
    }),
  );
const install = (...words: string[]) => run("--from", release.url, ...words);
const signed = (name: "public" | "other") => ["--key", release.key(name)];

test("a right file is put in place, over an earlier one, and runs", async () => {
  mkdirSync(to);
  writeFileSync(join(to, "cairn"), "earlier");
  expect(await install()).toMatchObject({ code: 0, err: "", out: expect.stringContaining("cairn 1.2.3 --version") });
  expect(readFileSync(join(to, "cairn"), "utf8")).toBe(EXECUTABLE);
  expect(statSync(join(to, "cairn")).mode & 0o777).toBe(0o755);
  expect(readdirSync(to)).toEqual(["cairn"]);
  expect(release.asked).toEqual(["SHA256SUMS", RELEASE_NAME]);
});

const HASH = "0".repeat(64);
test.each<[string, () => [string, string | Uint8Array], number, string]>([
  ["a changed file", () => [RELEASE_NAME, EXECUTABLE.replace("echo", "rm  ")], 4, "has the SHA-256"],
  ["a truncated file", () => [RELEASE_NAME, EXECUTABLE.slice(0, -5)], 4, "has the SHA-256"],
  ["no file", () => [RELEASE_NAME, ""], 3, "cannot download"],
  ["no checksums", () => ["SHA256SUMS", ""], 3, "cannot download"],
  ["checksums of others", () => ["SHA256SUMS", `${HASH}  cairn-plan9-x64\n`], 4, "has not one line"],
  [
    "two checksums",
    () => ["SHA256SUMS", `${HASH}  ${RELEASE_NAME}\n${HASH}  ${RELEASE_NAME}\n`],
    4,
    "has not one line",
  ],
  ["a page in their place", () => ["SHA256SUMS", "<html>sign in</html>"], 4, "has not one line"],
])("%s: nothing is changed", async (_what, planted, code, said) => {
  mkdirSync(to);
  writeFileSync(join(to, "cairn"), "earlier");
  release.served.set(...planted());
  expect(await install()).toMatchObject({ code, out: "", err: expect.stringContaining(said) });
  expect(readFileSync(join(to, "cairn"), "utf8")).toBe("earlier");
  expect(readdirSync(to)).toEqual(["cairn"]);
});

test("a file that does not run here is not installed", async () => {
  release.publish("#!/bin/sh\nexit 1\n");
  expect(await install()).toMatchObject({ code: 5, err: expect.stringContaining("does not run on this machine") });
  expect(readdirSync(to)).toEqual([]);
});

test.skipIf(Bun.which("openssl") === null)("with a key the signature counts [needs openssl]", async () => {
  expect(await install(...signed("other"))).toMatchObject({ code: 4, err: expect.stringContaining("signature") });
  release.served.set("SHA256SUMS.sig", "");
  expect((await install(...signed("public"))).code).toBe(3);
  release.served.clear();
  release.served.set("SHA256SUMS", `${readFileSync(join(release.dist, "SHA256SUMS"), "utf8")}\n`);
  expect((await install(...signed("public"))).code).toBe(4);
  expect(existsSync(join(to, "cairn"))).toBe(false);
  release.served.clear();
  expect(await install(...signed("public"))).toMatchObject({ code: 0, err: "" });
});

test.each([
  [["--from", "http://example.com/r"], "is not https"],
  [["--from", "ftp://example.com/r"], "is not the address of a release"],
  [["--from"], "needs a value"],
  [["--nonsense"], "usage"],
  [[], "usage"],
])("%j is refused before anything is asked", async (words, said) => {
  expect(await run(...words)).toMatchObject({ code: 2, out: "", err: expect.stringContaining(said) });
  expect(existsSync(join(to, "cairn"))).toBe(false);
});

test.skipIf(Bun.which("dpkg") === null || RELEASE_TARGET.goos !== "linux")("the Debian package [needs dpkg]", () => {
  const file = join(release.dist, `cairn_1.2.3_${RELEASE_TARGET.goarch}.deb`);
  const dpkg = (...words: string[]) => {
    const { exitCode, stdout, stderr } = Bun.spawnSync({ cmd: words });
    return { code: exitCode, text: `${stdout}${stderr}` };
  };
  const fields = dpkg("dpkg-deb", "-f", file, "Package", "Version", "Architecture", "Depends");
  expect(fields.text).toBe(
    `Package: cairn\nVersion: 1.2.3\nArchitecture: ${RELEASE_TARGET.goarch}\nDepends: libc6 (>= 2.34)\n`,
  );
  expect(dpkg("dpkg-deb", "-c", file).text).toMatch(
    /-rwxr-xr-x root\/root +\d+ 2026-01-02 \d\d:04 \.\/usr\/bin\/cairn\n$/,
  );
  const [root, admin] = [join(release.folder, "root"), join(release.folder, "root", "var", "lib", "dpkg")];
  for (const each of ["updates", "info"]) mkdirSync(join(admin, each), { recursive: true });
  for (const each of ["status", "available"]) writeFileSync(join(admin, each), "");
  const options = [`--root=${root}`, "--force-not-root", "--force-depends", "--force-script-chrootless"];
  const installed = dpkg("dpkg", ...options, "-i", file);
  expect(installed).toMatchObject({ code: 0 });
  expect(readFileSync(join(root, "usr", "bin", "cairn"), "utf8")).toBe(EXECUTABLE);
});

test("the formula has the address and hash of each executable, and no other", () => {
  const text = homebrewFormula({
    version: "1.2.3",
    url: "https://example.com/cairn/",
    hashes: new Map([
      ["darwin-arm64", "a".repeat(64)],
      ["linux-arm64", "b".repeat(64)],
    ]),
  });
  expect(text).toContain(
    `on_macos do\n    on_arm do\n      url "https://example.com/cairn/cairn-darwin-arm64"\n      sha256 "${"a".repeat(64)}"`,
  );
  expect(text).toContain(`on_linux do\n    on_arm do\n      url "https://example.com/cairn/cairn-linux-arm64"`);
  expect(text).not.toContain("linux-x64");
  expect(text.match(/\bdo$/gm)?.length).toBe(5);
  expect(text.match(/^ *end$/gm)?.length).toBe(7);
});
