// Where a new executable comes from: a folder of a release or its address, one file, or a blob of the fleet. Bytes are
// only given out with the SHA-256 that was expected; with a key, the list of checksums has its Ed25519 signature.

import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { createReadStream, readFileSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { counted } from "../../lib/counted.ts";
import { directFetch } from "../../lib/direct-fetch.ts";
import { Fault } from "../../lib/fault.ts";
import { connectionReason, fileReason } from "../../lib/reason-of.ts";
import { Sha256 } from "../../lib/sha256.ts";
import { readBlob } from "../blob/get.ts";
import type { Invocation } from "../command.ts";

const SUMS = "SHA256SUMS";
const SIGNATURE = "SHA256SUMS.sig";
const MAX_SUMS_BYTES = 64 * 1024;
const MAX_SIGNATURE_BYTES = 1024;
/** Six times the largest executable today. */
const MAX_EXECUTABLE_BYTES = 1024 ** 3;
const MAX_REDIRECTS = 5;
/** Until the first byte of an answer, and between two parts of it, in ms. */
const QUIET_MS = 60_000;

/** What was named on the command line. */
export interface Named {
  from: string;
  /** File with a public Ed25519 key (PEM). */
  keyFile: string | undefined;
  /** What the SHA-256 is expected to be. */
  sha256: string | undefined;
  invocation: Invocation;
}

/** A new executable that has not been read yet. */
export interface Release {
  /** As messages name it. */
  place: string;
  sha256: string;
  isSigned: boolean;
  /** Writes it to a new file. Rejects with Fault `data_corrupt` for bytes with another hash. */
  write(path: string, signal: AbortSignal): Promise<void>;
}

type Parts = AsyncIterable<Uint8Array>;

/** A folder with the files of a release. */
interface Folder {
  place: string;
  read(name: string, maxBytes: number, signal: AbortSignal): Promise<Buffer>;
  stream(name: string, signal: AbortSignal): Promise<Parts>;
}

/** Finds it and checks the signature. `target` is such as `linux-x64`. Faults `invalid_input`, `unavailable`. */
export async function openRelease(named: Named, target: string, signal: AbortSignal): Promise<Release> {
  const { from, keyFile, sha256 } = named;
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256))
    throw new Fault("invalid_input", `--sha256 must be 64 hex digits, not ${JSON.stringify(sha256.slice(0, 80))}`);
  const blob = /^blob:(?:([^/]+)\/)?(.*)$/s.exec(from);
  if (blob !== null) return ofBlob(named, blob[1] ?? "default", blob[2] ?? "");
  const { folder, file } = /^https?:/.test(from) ? { folder: remote(from, keyFile), file: undefined } : local(from);
  if (folder === undefined) return ofFile(named, from);
  const sums = await folder.read(SUMS, MAX_SUMS_BYTES, signal);
  if (keyFile !== undefined) {
    const signature = await folder.read(SIGNATURE, MAX_SIGNATURE_BYTES, signal);
    if (!verify(null, sums, publicKey(keyFile), signature))
      throw corrupt(`The signature of ${folder.place}/${SUMS} is not that of the key ${keyFile}`);
  }
  const name = file ?? `cairn-${target}`;
  const found = hashIn(sums.toString("utf8"), name);
  if (found === undefined) throw corrupt(`${folder.place}/${SUMS} has not one line for ${name}`);
  if (sha256 !== undefined && sha256 !== found)
    throw corrupt(`${folder.place}/${SUMS} has the SHA-256 ${found} for ${name}, not ${sha256}`);
  const place = `${folder.place}/${name}`;
  const write = async (path: string, end: AbortSignal) =>
    writeChecked(path, await folder.stream(name, end), { place, sha256: found });
  return { place, sha256: found, isSigned: keyFile !== undefined, write };
}

/** Returns the checksum of a name; undefined where it has no line, or more than one. */
function hashIn(sums: string, name: string): string | undefined {
  const lines = sums.split("\n").filter((line) => line.slice(66) === name && /^[0-9a-f]{64} [ *]/.test(line));
  return lines.length === 1 ? lines[0]?.slice(0, 64) : undefined;
}

function publicKey(file: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey(readFileSync(file));
  } catch (cause) {
    throw new Fault("invalid_input", `Cannot read the key ${file}: ${fileReason(cause)}`, {
      hint: "Name a file with a public Ed25519 key in PEM (openssl pkey -pubout).",
      cause,
    });
  }
  if (key.asymmetricKeyType === "ed25519") return key;
  throw new Fault("invalid_input", `${file} holds a key of the kind ${key.asymmetricKeyType}, not ed25519`);
}

function local(from: string): { folder: Folder | undefined; file: string | undefined } {
  const path = resolve(from);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined)
    throw new Fault("not_found", `There is no file or folder ${path}`, {
      hint: "Name the folder of a release, a file, https://… or blob:SHA256.",
    });
  const isFolder = stat.isDirectory();
  const place = isFolder ? path : dirname(path);
  const isListed = statSync(join(place, SUMS), { throwIfNoEntry: false })?.isFile() === true;
  if (isFolder && !isListed)
    throw new Fault("invalid_input", `${path} is no folder of a release: it has no ${SUMS}`, {
      hint: "Name the file itself, with --sha256.",
    });
  return { folder: isListed ? folderAt(place) : undefined, file: isFolder ? undefined : basename(path) };
}

function folderAt(place: string): Folder {
  return {
    place,
    read: async (name, maxBytes) => {
      const path = join(place, name);
      try {
        const bytes = readFileSync(path);
        if (bytes.byteLength <= maxBytes) return bytes;
      } catch (cause) {
        throw new Fault("not_found", `Cannot read ${path}: ${fileReason(cause)}`, { cause });
      }
      throw corrupt(`${path} has more than ${counted(maxBytes, "byte")}`);
    },
    stream: async (name) => createReadStream(join(place, name)),
  };
}

/** The checksums come from where the file comes from: who can change one on the way can change both. */
function remote(from: string, keyFile: string | undefined): Folder {
  const url = URL.parse(from);
  if (url === null || url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    throw new Fault("invalid_input", `${JSON.stringify(from.slice(0, 200))} is not the address of a release`, {
      hint: "Write it as https://example.com/cairn/1.2.0, without a user and a query.",
    });
  const isLoopback = ["127.0.0.1", "localhost", "[::1]"].includes(url.hostname);
  if (url.protocol === "http:" && keyFile === undefined && !isLoopback)
    throw new Fault("invalid_input", `${url.href} is not https`, {
      hint: "Give --key, so that the signature is verified.",
    });
  const place = url.href.replace(/\/+$/, "");
  const get = (name: string, signal: AbortSignal) => download(`${place}/${name}`, signal);
  return {
    place,
    read: async (name, maxBytes, signal) =>
      Buffer.concat(await Array.fromAsync(bounded(await get(name, signal), maxBytes, name))),
    stream: async (name, signal) => bounded(await get(name, signal), MAX_EXECUTABLE_BYTES, name),
  };
}

async function* bounded(parts: Parts, maxBytes: number, name: string): Parts {
  let bytes = 0;
  for await (const part of parts) {
    bytes += part.byteLength;
    if (bytes > maxBytes) throw corrupt(`${name} has more than ${counted(maxBytes, "byte")}`);
    yield part;
  }
}

/** Opens an address. A redirect from https leads to https only. */
async function download(address: string, signal: AbortSignal): Promise<Parts> {
  let url = new URL(address);
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
    const quiet = new Quiet(signal);
    try {
      const response = await directFetch(url.href, { redirect: "manual", signal: quiet.signal });
      const { status } = response;
      if (status === 200 && response.body !== null) return quiet.watch(response.body, url.href);
      await response.body?.cancel();
      const location = status >= 300 && status < 400 ? response.headers.get("location") : null;
      const next = location === null ? null : URL.parse(location, url.href);
      if (next === null)
        throw new Fault(status === 404 ? "not_found" : "unavailable", `${url.href} was answered with ${status}`, {
          hint: "See whether that is the folder of a release.",
        });
      if (!["https:", url.protocol].includes(next.protocol))
        throw new Fault("invalid_input", `${url.href} leads to ${next.href}, which is not https`);
      url = next;
    } catch (cause) {
      quiet.end();
      signal.throwIfAborted();
      throw cause instanceof Fault ? cause : notLoaded(url.href, cause);
    }
    quiet.end();
  }
  throw new Fault("unavailable", `${address} leads on more than ${MAX_REDIRECTS} times`);
}

function notLoaded(address: string, cause: unknown): Fault {
  return new Fault("unavailable", `Cannot load ${address}: ${connectionReason(cause)}`, { cause });
}

/** Ends a transfer in which nothing comes for a time. */
class Quiet {
  readonly signal: AbortSignal;
  readonly #late = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(outer: AbortSignal) {
    this.signal = AbortSignal.any([outer, this.#late.signal]);
    this.#begin();
  }

  #begin(): void {
    clearTimeout(this.#timer);
    const late = () => this.#late.abort(new Error(`nothing came for ${QUIET_MS / 1000} s`));
    this.#timer = setTimeout(late, QUIET_MS);
  }

  async *watch(body: ReadableStream<Uint8Array>, address: string): Parts {
    try {
      for await (const part of body) {
        this.#begin();
        yield part;
      }
    } catch (cause) {
      throw notLoaded(address, cause);
    } finally {
      this.end();
    }
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

function ofFile({ keyFile, sha256 }: Named, file: string): Release {
  const path = resolve(file);
  if (keyFile !== undefined) throw notSigned(path);
  if (sha256 === undefined)
    throw new Fault("invalid_input", `There is no ${SUMS} beside ${path}, so its bytes cannot be checked`, {
      hint: "Give --sha256 with the checksum that was published.",
    });
  const write = (to: string) => writeChecked(to, createReadStream(path), { place: path, sha256 });
  return { place: path, sha256, isSigned: false, write };
}

/** A blob of the fleet is named by its hash. */
function ofBlob({ keyFile, sha256 = "", invocation }: Named, space: string, hash: string): Release {
  const place = `blob:${space}/${hash.slice(0, 64)}`;
  if (!/^[0-9a-f]{64}$/.test(hash))
    throw new Fault("invalid_input", `${JSON.stringify(hash.slice(0, 80))} is no SHA-256 of a blob`, {
      hint: "Write it as blob:SPACE/SHA256, as cairn blob put printed it.",
    });
  if (sha256 !== "" && sha256 !== hash) throw corrupt(`${place} has not the SHA-256 ${sha256}`);
  if (keyFile !== undefined) throw notSigned(place);
  const write = (path: string) => readBlob(invocation, { sha256: hash, space, path });
  return { place, sha256: hash, isSigned: false, write };
}

function notSigned(place: string): Fault {
  return new Fault("invalid_input", `${place} has no signature that --key could verify`, {
    hint: `Name the folder of a release, with ${SUMS} and ${SIGNATURE}.`,
  });
}

async function writeChecked(path: string, parts: Parts, { place, sha256 }: { place: string; sha256: string }) {
  const file = await open(path, "wx", 0o600);
  try {
    const hash = new Sha256();
    for await (const part of parts) {
      hash.update(part);
      await file.writeFile(part);
    }
    const found = hash.hex();
    if (found !== sha256) throw corrupt(`${place} has the SHA-256 ${found}, not ${sha256}`);
    await file.sync();
  } finally {
    await file.close();
  }
}

function corrupt(message: string): Fault {
  return new Fault("data_corrupt", message, { hint: "Nothing was changed. Load it anew from where it is published." });
}
