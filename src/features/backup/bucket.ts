// Backups in a bucket: `<prefix>/<name>/cairn.db`, then `manifest.json`, which makes it one. Parts of 16 MiB both ways, so that memory stays small and a broken connection costs one part.

import { open } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "../../lib/fault.ts";
import { Sha256, sha256Hex } from "../../lib/sha256.ts";
import { type Manifest, parseManifest } from "../../store/backup.ts";
import { type BackupName, parseName } from "./names.ts";
import { type S3, xmlEscaped, xmlText, xmlTexts } from "./s3.ts";

const PART_BYTES = 16 * 1024 * 1024;
/** S3's own bound. */
const MAX_PARTS = 10_000;
/** Pages of a listing that are read: a bucket with more of ours is no longer understood. */
const MAX_PAGES = 50;

export interface BucketOptions {
  s3: S3;
  prefix: string | undefined;
  maker: string;
  /** Bytes of a part, for tests. */
  partBytes?: number;
}

/** The part of a bucket where backups lie. */
export class Bucket {
  readonly #options: BucketOptions;
  readonly #prefix: string;
  readonly #partBytes: number;

  constructor(options: BucketOptions) {
    this.#options = options;
    this.#prefix = options.prefix === undefined ? "" : `${options.prefix}/`;
    this.#partBytes = options.partBytes ?? PART_BYTES;
  }

  /** For people. */
  get place(): string {
    return this.#options.s3.place;
  }

  /** Whole backups that are there, whoever made them, and names of which only a part is. */
  async list(signal: AbortSignal): Promise<{ whole: BackupName[]; broken: BackupName[] }> {
    const files = new Map<string, Set<string>>();
    for (const key of await this.#keys(signal)) {
      const [name = "", file = "", more] = key.slice(this.#prefix.length).split("/");
      if (parseName(name) === undefined || more !== undefined) continue;
      files.set(name, (files.get(name) ?? new Set()).add(file));
    }
    const named = [...files.keys()].flatMap((name) => parseName(name) ?? []);
    const isWhole = ({ name }: BackupName): boolean => files.get(name)?.has("manifest.json") === true;
    return { whole: named.filter(isWhole), broken: named.filter((backup) => !isWhole(backup)) };
  }

  /** Sends the backup in `folder`, then asks for what arrived. A fault leaves no backup there. */
  async send(name: string, folder: string, manifest: Manifest, signal: AbortSignal): Promise<void> {
    await this.#endUploads(signal);
    const key = this.#key(name, "cairn.db");
    const { bytes, sha256 } = manifest.file;
    const checksum = await this.#put(key, join(folder, "cairn.db"), manifest, signal);
    const { headers } = await this.#options.s3.ask({
      method: "HEAD",
      key,
      headers: { "x-amz-checksum-mode": "ENABLED" },
      signal,
    });
    const there = headers.get("x-amz-checksum-sha256") ?? checksum;
    if (
      Number(headers.get("content-length")) !== bytes ||
      there !== checksum ||
      headers.get("x-amz-meta-sha256") !== sha256
    ) {
      await this.#options.s3.ask({ method: "DELETE", key, signal });
      throw new Fault(
        "unavailable",
        `${this.place} keeps ${key} otherwise than it was sent (${headers.get("content-length")} bytes of ${bytes}, checksum ${there})`,
        {
          hint: "Try again; if it stays, see what stands between this node and the bucket.",
        },
      );
    }
    const body = new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`);
    await this.#options.s3.ask({
      method: "PUT",
      key: this.#key(name, "manifest.json"),
      body,
      headers: { "content-type": "application/json" },
      signal,
    });
  }

  /** Reads a backup's manifest. Fault `not_found`. */
  async manifestOf(name: string, signal: AbortSignal): Promise<Manifest> {
    const { body } = await this.#options.s3.ask({ method: "GET", key: this.#key(name, "manifest.json"), signal });
    return parseManifest(new TextDecoder().decode(body.subarray(0, 65_536)));
  }

  /** Writes a backup's file to `path`, which must not be there; its hash is the manifest's. */
  async fetchFile(name: string, path: string, manifest: Manifest, signal: AbortSignal): Promise<void> {
    const { bytes, sha256 } = manifest.file;
    const hash = new Sha256();
    const file = await open(path, "wx", 0o600);
    try {
      for (let at = 0; at < bytes; at += this.#partBytes) {
        const range = `bytes=${at}-${Math.min(bytes, at + this.#partBytes) - 1}`;
        const { body } = await this.#options.s3.ask({
          method: "GET",
          key: this.#key(name, "cairn.db"),
          headers: { range },
          signal,
        });
        hash.update(body);
        await file.write(body);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    if (hash.hex() === sha256) return;
    throw new Fault("data_corrupt", `What ${this.place} has as ${name} is not what its manifest says`, {
      hint: "Fetch another backup.",
    });
  }

  /** Removes a backup of this maker, its manifest first. */
  async remove({ name, maker }: BackupName, signal: AbortSignal): Promise<void> {
    if (maker !== this.#options.maker) throw new Error(`${name} was made by another node`);
    for (const file of ["manifest.json", "cairn.db"])
      await this.#options.s3.ask({ method: "DELETE", key: this.#key(name, file), signal });
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
      const xml = new TextDecoder().decode(
        (await this.#options.s3.ask({ method: "GET", key: "", query, signal })).body,
      );
      keys.push(...xmlTexts(xml, "Key"));
      token = xmlText(xml, "NextContinuationToken");
      if (xmlText(xml, "IsTruncated") !== "true" || token === "") return keys;
    }
    throw new Fault("unavailable", `${this.place} lists more than ${MAX_PAGES} pages below ${this.#prefix}cairn-`, {
      hint: "Give these backups a prefix of their own (backup.s3_prefix).",
    });
  }

  /** Sends a file in one request or in parts; answers the checksum that S3 makes of it. */
  async #put(key: string, path: string, manifest: Manifest, signal: AbortSignal): Promise<string> {
    const { bytes, sha256 } = manifest.file;
    const count = Math.max(1, Math.ceil(bytes / this.#partBytes));
    if (count > MAX_PARTS) {
      throw new Fault("too_large", `The backup has ${bytes} bytes; ${MAX_PARTS * this.#partBytes} can be sent`, {
        hint: "Take the backups from backup.folder by other means.",
      });
    }
    const meta = { "x-amz-meta-sha256": sha256 };
    const hash = new Sha256();
    await using file = await open(path, "r");
    const read = async (index: number): Promise<{ body: Uint8Array; checksum: string }> => {
      const body = new Uint8Array(Math.min(this.#partBytes, bytes - index * this.#partBytes));
      const { bytesRead } = await file.read(body, 0, body.length, index * this.#partBytes);
      hash.update(body);
      if (bytesRead === body.length) return { body, checksum: base64(sha256Hex(body)) };
      throw changed(path);
    };
    if (count === 1) {
      const { body, checksum } = await read(0);
      if (hash.hex() !== sha256) throw changed(path);
      await this.#options.s3.ask({
        method: "PUT",
        key,
        body,
        headers: { ...meta, "x-amz-checksum-sha256": checksum },
        signal,
      });
      return checksum;
    }
    const headers = { ...meta, "x-amz-checksum-algorithm": "SHA256" };
    const begun = await this.#options.s3.ask({ method: "POST", key, query: { uploads: "" }, headers, signal });
    const uploadId = xmlText(new TextDecoder().decode(begun.body), "UploadId");
    const parts: { tag: string; checksum: string }[] = [];
    for (let index = 0; index < count; index += 1) {
      const { body, checksum } = await read(index);
      const query = { partNumber: String(index + 1), uploadId };
      const sent = await this.#options.s3.ask({
        method: "PUT",
        key,
        query,
        body,
        headers: { "x-amz-checksum-sha256": checksum },
        signal,
      });
      parts.push({ tag: sent.headers.get("etag") ?? "", checksum });
    }
    if (hash.hex() !== sha256) throw changed(path);
    const xml = parts.map(
      ({ tag, checksum }, index) =>
        `<Part><PartNumber>${index + 1}</PartNumber><ETag>${xmlEscaped(tag)}</ETag><ChecksumSHA256>${checksum}</ChecksumSHA256></Part>`,
    );
    const body = new TextEncoder().encode(`<CompleteMultipartUpload>${xml.join("")}</CompleteMultipartUpload>`);
    const done = await this.#options.s3.ask({ method: "POST", key, query: { uploadId }, body, signal });
    // S3 may answer 200 and say in the body that it failed.
    const problem = xmlText(new TextDecoder().decode(done.body), "Code");
    if (problem !== "")
      throw new Fault("unavailable", `${this.place} could not put ${key} together: ${problem}`, {
        hint: "It is tried again.",
      });
    return `${base64(sha256Hex(Buffer.concat(parts.map(({ checksum }) => Buffer.from(checksum, "base64")))))}-${count}`;
  }

  /** Ends uploads of this maker that never ended: their parts would be paid for. A service without this question keeps none. */
  async #endUploads(signal: AbortSignal): Promise<void> {
    let xml: string;
    try {
      const query = { uploads: "", prefix: `${this.#prefix}cairn-` };
      xml = new TextDecoder().decode((await this.#options.s3.ask({ method: "GET", key: "", query, signal })).body);
    } catch {
      signal.throwIfAborted();
      return;
    }
    for (const [, upload = ""] of xml.matchAll(/<Upload>(.*?)<\/Upload>/gs)) {
      const key = xmlText(upload, "Key");
      const [name = ""] = key.slice(this.#prefix.length).split("/");
      if (parseName(name)?.maker !== this.#options.maker) continue;
      await this.#options.s3.ask({ method: "DELETE", key, query: { uploadId: xmlText(upload, "UploadId") }, signal });
    }
  }
}

function base64(hex: string): string {
  return Buffer.from(hex, "hex").toString("base64");
}

function changed(path: string): Fault {
  return new Fault("data_corrupt", `${path} was changed after the backup was made`, {
    hint: "Make a new one with `cairn backup now`.",
  });
}
