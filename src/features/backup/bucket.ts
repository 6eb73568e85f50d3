// Backups in a bucket: `<prefix>/<name>/cairn.db` and `manifest.json`; without its manifest an object is no backup.
// Files travel in parts of 16 MiB, so that memory stays small and a broken connection costs one part.

import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "../../lib/fault.ts";
import { Sha256, sha256Hex } from "../../lib/sha256.ts";
import { type Manifest, parseManifest } from "../../store/backup.ts";
import { type BackupName, parseName } from "./backup-name.ts";
import type { S3 } from "./s3.ts";
import { xmlEscaped, xmlText, xmlTexts } from "./xml.ts";

const PART_BYTES = 16 * 1024 * 1024;
/** The limit of S3. */
const MAX_PARTS = 10_000;
/** Most pages of a listing to read; more are refused. */
const MAX_PAGES = 50;

export interface BucketOptions {
  s3: S3;
  prefix: string | undefined;
  maker: string;
  /** Bytes of a part, for tests. */
  partBytes?: number;
}

/** One part of a file, and the base64 SHA-256 of it. */
interface FilePart {
  body: Uint8Array;
  checksum: string;
}

/** A file to upload, read in parts. */
interface Upload {
  key: string;
  parts: PartReader;
  signal: AbortSignal;
}

/** The prefix of a bucket in which backups are stored. */
export class Bucket {
  readonly #options: BucketOptions;
  readonly #prefix: string;
  readonly #partBytes: number;

  constructor(options: BucketOptions) {
    this.#options = options;
    this.#prefix = options.prefix === undefined ? "" : `${options.prefix}/`;
    this.#partBytes = options.partBytes ?? PART_BYTES;
  }

  /** The bucket and its service, for people. */
  get location(): string {
    return this.#options.s3.location;
  }

  /** Returns the backups of all makers: complete ones, and those without a manifest. */
  async list(signal: AbortSignal): Promise<{ complete: BackupName[]; incomplete: BackupName[] }> {
    const files = new Map<string, Set<string>>();
    for (const key of await this.#keys(signal)) {
      const [name = "", file = "", more] = key.slice(this.#prefix.length).split("/");
      if (parseName(name) === undefined || more !== undefined) continue;
      files.set(name, (files.get(name) ?? new Set()).add(file));
    }
    const named = [...files.keys()].flatMap((name) => parseName(name) ?? []);
    const isComplete = ({ name }: BackupName): boolean => files.get(name)?.has("manifest.json") === true;
    return { complete: named.filter(isComplete), incomplete: named.filter((backup) => !isComplete(backup)) };
  }

  /**
   * Uploads the backup in `folder`, and checks what the bucket stored. After a fault there is no backup in the bucket.
   */
  async upload(name: string, folder: string, manifest: Manifest, signal: AbortSignal): Promise<void> {
    await this.#abortUploads(signal);
    const key = this.#key(name, "cairn.db");
    const checksum = await this.#uploadFile(key, join(folder, "cairn.db"), manifest, signal);
    await this.#checkStored(key, manifest, checksum, signal);
    await this.#options.s3.request({
      method: "PUT",
      key: this.#key(name, "manifest.json"),
      body: new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`),
      headers: { "content-type": "application/json" },
      signal,
    });
  }

  /** Returns the manifest of a backup. Rejects with Fault `not_found`. */
  async manifestOf(name: string, signal: AbortSignal): Promise<Manifest> {
    const { body } = await this.#options.s3.request({ method: "GET", key: this.#key(name, "manifest.json"), signal });
    return parseManifest(new TextDecoder().decode(body.subarray(0, 65_536)));
  }

  /**
   * Downloads the file of a backup to `path`, which must not exist. Rejects with Fault `data_corrupt` for another hash.
   */
  async downloadFile(name: string, path: string, manifest: Manifest, signal: AbortSignal): Promise<void> {
    const file = await open(path, "wx", 0o600);
    let hash: string;
    try {
      hash = await this.#readBack(this.#key(name, "cairn.db"), manifest, signal, (body) => file.write(body));
      await file.sync();
    } finally {
      await file.close();
    }
    if (hash === manifest.file.sha256) return;
    throw new Fault("data_corrupt", `${name} in ${this.location} does not match its manifest`, {
      hint: "Fetch another backup.",
    });
  }

  /** Reads an object in parts, each of which `take` gets. Returns the hex SHA-256 of what was read. */
  async #readBack(
    key: string,
    { file: { bytes } }: Manifest,
    signal: AbortSignal,
    take: (body: Uint8Array) => Promise<unknown>,
  ): Promise<string> {
    const hash = new Sha256();
    for (let at = 0; at < bytes; at += this.#partBytes) {
      const range = `bytes=${at}-${Math.min(bytes, at + this.#partBytes) - 1}`;
      const { body } = await this.#options.s3.request({ method: "GET", key, headers: { range }, signal });
      hash.update(body);
      await take(body);
    }
    return hash.hex();
  }

  /** Removes a backup of this maker. Its manifest goes first, so that a half-removed backup is none. */
  async remove({ name, maker }: BackupName, signal: AbortSignal): Promise<void> {
    if (maker !== this.#options.maker) throw new Error(`${name} was made by another node`);
    for (const file of ["manifest.json", "cairn.db"])
      await this.#options.s3.request({ method: "DELETE", key: this.#key(name, file), signal });
  }

  #key(name: string, file: string): string {
    return `${this.#prefix}${name}/${file}`;
  }

  async #keys(signal: AbortSignal): Promise<string[]> {
    const keys: string[] = [];
    let token = "";
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const query = {
        "list-type": "2",
        prefix: `${this.#prefix}cairn-`,
        ...(token === "" ? {} : { "continuation-token": token }),
      };
      const { body } = await this.#options.s3.request({ method: "GET", key: "", query, signal });
      const xml = new TextDecoder().decode(body);
      keys.push(...xmlTexts(xml, "Key"));
      token = xmlText(xml, "NextContinuationToken");
      if (xmlText(xml, "IsTruncated") !== "true" || token === "") return keys;
    }
    throw new Fault(
      "unavailable",
      `${this.location} has more than ${MAX_PAGES} pages of objects under ${this.#prefix}cairn-`,
      { hint: "Give these backups a prefix of their own (backup.s3_prefix)." },
    );
  }

  /** Uploads a file in one request or in parts. Returns the checksum by which S3 knows the object. */
  async #uploadFile(key: string, path: string, manifest: Manifest, signal: AbortSignal): Promise<string> {
    const { bytes, sha256 } = manifest.file;
    const mostBytes = MAX_PARTS * this.#partBytes;
    if (bytes > mostBytes) {
      throw new Fault("too_large", `The backup has ${bytes} bytes; at most ${mostBytes} can be uploaded`, {
        hint: "Copy the backups from backup.folder by other means.",
      });
    }
    await using file = await open(path, "r");
    const parts = new PartReader(file, path, { bytes, sha256, partBytes: this.#partBytes });
    const upload: Upload = { key, parts, signal };
    return await (parts.count === 1 ? this.#uploadWhole(upload) : this.#uploadParts(upload));
  }

  async #uploadWhole({ key, parts, signal }: Upload): Promise<string> {
    const { body, checksum } = await parts.read(0);
    parts.refuseChanged();
    await this.#options.s3.request({
      method: "PUT",
      key,
      body,
      checksums: { "x-amz-checksum-sha256": checksum },
      signal,
    });
    return checksum;
  }

  async #uploadParts({ key, parts, signal }: Upload): Promise<string> {
    const { s3 } = this.#options;
    const begun = await s3.request({
      method: "POST",
      key,
      query: { uploads: "" },
      checksums: { "x-amz-checksum-algorithm": "SHA256" },
      signal,
    });
    const uploadId = xmlText(new TextDecoder().decode(begun.body), "UploadId");
    const sent: { tag: string; checksum: string }[] = [];
    for (let index = 0; index < parts.count; index += 1) {
      const { body, checksum } = await parts.read(index);
      const response = await s3.request({
        method: "PUT",
        key,
        query: { partNumber: String(index + 1), uploadId },
        body,
        checksums: { "x-amz-checksum-sha256": checksum },
        signal,
      });
      sent.push({ tag: response.headers.get("etag") ?? "", checksum });
    }
    parts.refuseChanged();
    const body = new TextEncoder().encode(completion(sent, s3.knowsChecksums));
    const done = await s3.request({ method: "POST", key, query: { uploadId }, body, signal });
    // S3 may respond 200 with an error in the body.
    const problem = xmlText(new TextDecoder().decode(done.body), "Code");
    if (problem !== "")
      throw new Fault("unavailable", `${this.location} could not assemble the parts of ${key}: ${problem}`, {
        hint: "The upload is tried again.",
      });
    return checksumOfParts(sent.map(({ checksum }) => checksum));
  }

  /**
   * Compares what the bucket stored with what was sent: by the checksum of the service, else by reading it back.
   * Removes the object and rejects if it is different.
   */
  async #checkStored(key: string, manifest: Manifest, checksum: string, signal: AbortSignal): Promise<void> {
    const { headers } = await this.#options.s3.request({
      method: "HEAD",
      key,
      checksums: { "x-amz-checksum-mode": "ENABLED" },
      signal,
    });
    const { bytes, sha256 } = manifest.file;
    const storedBytes = headers.get("content-length");
    const stored = headers.get("x-amz-checksum-sha256");
    if (Number(storedBytes) === bytes) {
      if (stored === checksum) return;
      if (stored === null && (await this.#readBack(key, manifest, signal, async () => {})) === sha256) return;
    }
    await this.#options.s3.request({ method: "DELETE", key, signal });
    throw new Fault(
      "unavailable",
      `${this.location} stored ${key} differently than it was sent (${storedBytes} of ${bytes} bytes, checksum ${stored ?? "unknown"})`,
      { hint: "Try again. If this lasts, check what is between this node and the bucket." },
    );
  }

  /**
   * Aborts uploads of this maker that were never completed, because their parts would be charged for. A service that
   * does not support the request keeps none.
   */
  async #abortUploads(signal: AbortSignal): Promise<void> {
    let xml: string;
    try {
      const query = { uploads: "", prefix: `${this.#prefix}cairn-` };
      const { body } = await this.#options.s3.request({ method: "GET", key: "", query, signal });
      xml = new TextDecoder().decode(body);
    } catch {
      signal.throwIfAborted();
      return;
    }
    for (const [, upload = ""] of xml.matchAll(/<Upload>(.*?)<\/Upload>/gs)) {
      const key = xmlText(upload, "Key");
      const [name = ""] = key.slice(this.#prefix.length).split("/");
      if (parseName(name)?.maker !== this.#options.maker) continue;
      const query = { uploadId: xmlText(upload, "UploadId") };
      await this.#options.s3.request({ method: "DELETE", key, query, signal });
    }
  }
}

/** Reads a file in parts, and finds out whether it is still the one of the manifest. */
class PartReader {
  /** Number of parts. */
  readonly count: number;
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #expected: { bytes: number; sha256: string; partBytes: number };
  readonly #hash = new Sha256();

  constructor(file: FileHandle, path: string, expected: { bytes: number; sha256: string; partBytes: number }) {
    this.#file = file;
    this.#path = path;
    this.#expected = expected;
    this.count = Math.max(1, Math.ceil(expected.bytes / expected.partBytes));
  }

  /** Reads the next part; parts are read in order. Rejects with Fault `data_corrupt` if the file is too short. */
  async read(index: number): Promise<FilePart> {
    const { bytes, partBytes } = this.#expected;
    const body = new Uint8Array(Math.min(partBytes, bytes - index * partBytes));
    const { bytesRead } = await this.#file.read(body, 0, body.length, index * partBytes);
    this.#hash.update(body);
    if (bytesRead !== body.length) throw this.#changed();
    return { body, checksum: base64(sha256Hex(body)) };
  }

  /** Throws Fault `data_corrupt` unless the parts that were read have the hash of the manifest. Called once. */
  refuseChanged(): void {
    if (this.#hash.hex() !== this.#expected.sha256) throw this.#changed();
  }

  #changed(): Fault {
    return new Fault("data_corrupt", `${this.#path} was changed after the backup was made`, {
      hint: "Make a new one with `cairn backup now`.",
    });
  }
}

/** Returns the body of the request that completes an upload in parts; with checksums where the service knows them. */
function completion(parts: readonly { tag: string; checksum: string }[], withChecksums: boolean): string {
  const xml = parts.map(({ tag, checksum }, index) => {
    const known = withChecksums ? `<ChecksumSHA256>${checksum}</ChecksumSHA256>` : "";
    return `<Part><PartNumber>${index + 1}</PartNumber><ETag>${xmlEscaped(tag)}</ETag>${known}</Part>`;
  });
  return `<CompleteMultipartUpload>${xml.join("")}</CompleteMultipartUpload>`;
}

/** Returns the checksum that S3 makes of an object with these parts. */
function checksumOfParts(checksums: readonly string[]): string {
  const all = Buffer.concat(checksums.map((checksum) => Buffer.from(checksum, "base64")));
  return `${base64(sha256Hex(all))}-${checksums.length}`;
}

function base64(hex: string): string {
  return Buffer.from(hex, "hex").toString("base64");
}
