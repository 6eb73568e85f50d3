// What goes beside the executables of a release: their checksums, signed where there is a key, a Debian package of each
// one for Linux, and a Homebrew formula.

import { createHash, createPrivateKey, sign } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TarFile, tarOf } from "../src/lib/tar.ts";
import type { Target } from "./targets.ts";

const DESCRIPTION = "Shared versioned memory of AI agents on a tailnet";
/** What native/ is built against (architecture.md 13). */
const DEPENDS = "libc6 (>= 2.34)";

export interface ReleaseOptions {
  /** Folder with `cairn-<target>`. */
  dist: string;
  /** Those that were built. */
  targets: readonly Target[];
  version: string;
  /** Folder at which the files will be published; undefined: no formula. */
  url: string | undefined;
  /** File with a private Ed25519 key (PEM); undefined: nothing is signed. */
  keyFile: string | undefined;
  timeMs: number;
}

/** Writes the files and returns their names. */
export function writeReleaseFiles({ dist, targets, version, url, keyFile, timeMs }: ReleaseOptions): string[] {
  const written: string[] = [];
  const write = (name: string, bytes: string | Uint8Array) => {
    writeFileSync(join(dist, name), bytes);
    written.push(name);
  };
  const executables = new Map(targets.map((target) => [target.name, readFileSync(join(dist, `cairn-${target.name}`))]));
  for (const { name, goos, goarch } of targets) {
    const executable = executables.get(name);
    if (goos !== "linux" || executable === undefined) continue;
    write(`cairn_${version}_${goarch}.deb`, debianPackage({ executable, version, architecture: goarch, timeMs }));
  }
  const hashes = new Map([...executables].map(([name, bytes]) => [name, sha256(bytes)]));
  if (url !== undefined) write("cairn.rb", homebrewFormula({ version, url, hashes }));
  const packages = written.filter((name) => name.endsWith(".deb"));
  const lines = [
    ...[...hashes].map(([name, hash]) => `${hash}  cairn-${name}\n`),
    ...packages.map((name) => `${sha256(readFileSync(join(dist, name)))}  ${name}\n`),
  ];
  write("SHA256SUMS", lines.join(""));
  if (keyFile !== undefined) write("SHA256SUMS.sig", signatureOf(lines.join(""), keyFile));
  return written;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function signatureOf(text: string, keyFile: string): Uint8Array {
  const key = createPrivateKey(readFileSync(keyFile));
  if (key.asymmetricKeyType !== "ed25519")
    throw new Error(`${keyFile} holds a key of the kind ${key.asymmetricKeyType}, not ed25519`);
  return sign(null, Buffer.from(text), key);
}

interface PackageFacts {
  executable: Uint8Array;
  version: string;
  architecture: string;
  timeMs: number;
}

/** Returns a Debian package: an archive `ar` of three parts. */
export function debianPackage({ executable, version, architecture, timeMs }: PackageFacts): Uint8Array {
  const folder = (name: string): TarFile => ({ name, bytes: new Uint8Array(), mode: 0o755 });
  const control = [
    "Package: cairn",
    `Version: ${version}`,
    `Architecture: ${architecture}`,
    "Maintainer: Cairn maintainers <maintainers@cairn.invalid>",
    `Installed-Size: ${Math.ceil(executable.length / 1024)}`,
    `Depends: ${DEPENDS}`,
    "Section: net",
    "Priority: optional",
    `Description: ${DESCRIPTION}`,
    " Start it with cairn serve, or run it under systemd with cairn service install.",
    "",
  ].join("\n");
  const parts: readonly [string, Uint8Array][] = [
    ["debian-binary", Buffer.from("2.0\n")],
    ["control.tar.gz", zipped([folder("./"), { name: "./control", bytes: Buffer.from(control), mode: 0o644 }], timeMs)],
    [
      "data.tar.gz",
      zipped(
        [...["./", "./usr/", "./usr/bin/"].map(folder), { name: "./usr/bin/cairn", bytes: executable, mode: 0o755 }],
        timeMs,
      ),
    ],
  ];
  const members = parts.flatMap(([name, bytes]) => [
    Buffer.from(arHead(name, bytes.length, timeMs)),
    bytes,
    Buffer.from(bytes.length % 2 === 0 ? "" : "\n"),
  ]);
  return Buffer.concat([Buffer.from("!<arch>\n"), ...members]);
}

function zipped(files: readonly TarFile[], timeMs: number): Uint8Array {
  return Bun.gzipSync(Buffer.from(tarOf(files, timeMs)));
}

function arHead(name: string, size: number, timeMs: number): string {
  const seconds = Math.floor(timeMs / 1000);
  const fields = [name.padEnd(16), String(seconds).padEnd(12), "0".padEnd(6), "0".padEnd(6), "100644".padEnd(8)];
  return `${fields.join("")}${String(size).padEnd(10)}\`\n`;
}

/** Returns the formula for the executables with these hashes, by target. */
export function homebrewFormula(facts: { version: string; url: string; hashes: ReadonlyMap<string, string> }): string {
  const { version, hashes } = facts;
  const url = facts.url.replace(/\/$/, "");
  const of = (target: string, on: string, cpu: string) => {
    const hash = hashes.get(target);
    if (hash === undefined) return [];
    return [
      `  on_${on} do`,
      `    on_${cpu} do`,
      `      url "${url}/cairn-${target}"`,
      `      sha256 "${hash}"`,
      "    end",
      "  end",
    ];
  };
  return [
    "# Written by npm run build.",
    "class Cairn < Formula",
    `  desc "${DESCRIPTION}"`,
    `  homepage "${url}"`,
    `  version "${version}"`,
    ...of("darwin-arm64", "macos", "arm"),
    ...of("linux-x64", "linux", "intel"),
    ...of("linux-arm64", "linux", "arm"),
    "  def install",
    '    bin.install Dir["cairn-*"].first => "cairn"',
    "  end",
    "  test do",
    '    assert_match version.to_s, shell_output("#{bin}/cairn --version")',
    "  end",
    "end",
    "",
  ].join("\n");
}
