// A small S3 server, written from the published API: it checks each signature by computing it again, keeps objects in
// memory, and fails as the test sets it.

import { createHash, createHmac, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

export const S3_KEYS = { accessKeyId: "AKIDTESTCANARY0815", secretAccessKey: "s3-canary/secret+0815canary0815" };
export const S3_BUCKET = "backups";
const REGION = "us-east-1";
const SKEW_MS = 15 * 60_000;
const PAGE = 3;

interface Stored {
  bytes: Buffer;
  headers: Record<string, string>;
}

/** What happens to a request instead of its normal response. */
export type S3Fault = "500" | "501" | "503" | "altered" | "cut" | "slow" | "corrupt" | "wrong-checksum" | "redirect";

export class TestS3 implements AsyncDisposable {
  readonly objects = new Map<string, Stored>();
  readonly uploads = new Map<string, { key: string; headers: Record<string, string>; parts: Map<number, Buffer> }>();
  /** `PUT key` of every request, refused ones too. */
  readonly seen: string[] = [];
  /** Faults for the next requests whose `METHOD key?query` matches, one each. */
  readonly faults: { fits: RegExp; fault: S3Fault }[] = [];
  /** How the service refuses headers with checksums; undefined: it knows them. */
  refusesChecksums: "501" | "400" | undefined;
  /** A service that drops headers with checksums and metadata without a word. */
  dropsHeaders = false;
  redirectTo = "";
  slowMs = 300;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<TestS3> {
    const server = createServer();
    const s3 = new TestS3(server);
    server.on(
      "request",
      (request, response) => void s3.#answer(request, response).catch(() => request.socket.destroy()),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return s3;
  }

  /** `127.0.0.1:PORT`. */
  get host(): string {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? `127.0.0.1:${address.port}` : "";
  }

  get keys(): string[] {
    return [...this.objects.keys()].sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const url = new URL(request.url ?? "/", "http://s3");
    const what = `${request.method} ${decodeURIComponent(url.pathname).slice(S3_BUCKET.length + 2)}${url.search}`;
    this.seen.push(what);
    const at = this.faults.findIndex(({ fits }) => fits.test(what));
    const fault = at < 0 ? undefined : this.faults.splice(at, 1)[0]?.fault;
    if (fault === "cut") {
      return request.once("data", () => request.socket.destroy());
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    if (fault === "slow") await Bun.sleep(this.slowMs);
    if (fault === "501") return send(response, 501, problem("NotImplemented", "a header is not implemented"));
    if (fault === "500" || fault === "503") return send(response, Number(fault), problem("InternalError", "try again"));
    if (fault === "redirect") {
      response.setHeader("location", this.redirectTo);
      return send(response, 307, "");
    }
    const named = Object.keys(request.headers).find((header) => /^x-amz-(checksum|sdk-checksum)/.test(header));
    if (this.refusesChecksums !== undefined && named !== undefined)
      return this.refusesChecksums === "501"
        ? send(response, 501, problem("NotImplemented", `${named} is not implemented`))
        : send(response, 400, problem("InvalidArgument", `Unsupported header '${named}'`));
    const refused = refusalOf(request, url, body);
    if (refused !== undefined) return send(response, refused[0], problem(refused[1], refused[2]));
    const [, bucket = "", ...rest] = decodeURIComponent(url.pathname).split("/");
    if (bucket !== S3_BUCKET)
      return send(response, 404, problem("NoSuchBucket", "The specified bucket does not exist"));
    const key = rest.join("/");
    return this.#serve(request, response, { url, key, body: harmed(body, fault), fault });
  }

  #serve(
    request: IncomingMessage,
    response: ServerResponse,
    { url, key, body, fault }: { url: URL; key: string; body: Buffer; fault: S3Fault | undefined },
  ): ServerResponse {
    const query = url.searchParams;
    const uploadId = query.get("uploadId") ?? "";
    const upload = this.uploads.get(uploadId);
    const kept = Object.fromEntries(
      Object.entries(request.headers).filter(
        ([name]) => !this.dropsHeaders && /^x-amz-(meta-|checksum-sha256$)/.test(name),
      ),
    ) as Record<string, string>;
    if (uploadId !== "" && upload === undefined) return send(response, 404, problem("NoSuchUpload", "gone"));
    switch (
      `${request.method} ${key === "" ? "bucket" : query.has("uploads") ? "uploads" : upload ? "upload" : "object"}`
    ) {
      case "GET bucket":
        return send(response, 200, query.has("uploads") ? this.#listUploads(query) : this.#list(query));
      case "PUT object":
        if (fault === "wrong-checksum") kept["x-amz-checksum-sha256"] = sha256(Buffer.from("other"), "base64");
        this.objects.set(key, { bytes: body, headers: kept });
        response.setHeader("etag", `"${createHash("md5").update(body).digest("hex")}"`);
        return send(response, 200, "");
      case "POST uploads": {
        const id = randomBytes(6).toString("hex");
        this.uploads.set(id, { key, headers: kept, parts: new Map() });
        return send(
          response,
          200,
          `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
        );
      }
      case "PUT upload": {
        upload?.parts.set(Number(query.get("partNumber")), body);
        response.setHeader("etag", `"${createHash("md5").update(body).digest("hex")}"`);
        return send(response, 200, "");
      }
      case "POST upload":
        return this.#complete(response, uploadId, body.toString());
      case "DELETE upload":
        this.uploads.delete(uploadId);
        return send(response, 204, "");
      case "DELETE object":
        this.objects.delete(key);
        return send(response, 204, "");
      case "HEAD object":
      case "GET object":
        return this.#read(request, response, key);
    }
    return send(response, 405, problem("MethodNotAllowed", request.method ?? ""));
  }

  #complete(response: ServerResponse, id: string, xml: string): ServerResponse {
    const upload = this.uploads.get(id);
    const named = [...xml.matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>(.*?)<\/ETag>/g)];
    const parts = named.map(([, number, tag]) => ({
      bytes: upload?.parts.get(Number(number)),
      tag: tag?.replaceAll("&quot;", '"'),
    }));
    const bad = parts.some(
      ({ bytes, tag }) => bytes === undefined || tag !== `"${createHash("md5").update(bytes).digest("hex")}"`,
    );
    if (upload === undefined || bad || parts.length === 0)
      return send(response, 400, problem("InvalidPart", "a part is missing"));
    const buffers = parts.flatMap(({ bytes }) => bytes ?? []);
    const digests = Buffer.concat(buffers.map((bytes) => createHash("sha256").update(bytes).digest()));
    const checksum = `${sha256(digests, "base64")}-${buffers.length}`;
    this.objects.set(upload.key, {
      bytes: Buffer.concat(buffers),
      headers:
        this.dropsHeaders || this.refusesChecksums ? {} : { ...upload.headers, "x-amz-checksum-sha256": checksum },
    });
    this.uploads.delete(id);
    return send(response, 200, "<CompleteMultipartUploadResult/>");
  }

  #read(request: IncomingMessage, response: ServerResponse, key: string): ServerResponse {
    const found = this.objects.get(key);
    if (found === undefined) return send(response, 404, problem("NoSuchKey", "The specified key does not exist"));
    for (const [name, value] of Object.entries(found.headers))
      if (name.startsWith("x-amz-meta-") || request.headers["x-amz-checksum-mode"] === "ENABLED")
        response.setHeader(name, value);
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const bytes = range === null ? found.bytes : found.bytes.subarray(Number(range[1]), Number(range[2]) + 1);
    response.writeHead(range === null ? 200 : 206, { "content-length": bytes.length });
    return response.end(request.method === "HEAD" ? undefined : bytes);
  }

  #list(query: URLSearchParams): string {
    const all = this.keys.filter((key) => key.startsWith(query.get("prefix") ?? ""));
    const from = Number(query.get("continuation-token")?.replace("+/= ", "") ?? 0);
    const page = all.slice(from, from + PAGE).map((key) => `<Contents><Key>${key}</Key></Contents>`);
    const more = from + PAGE < all.length;
    const next = more ? `<NextContinuationToken>+/= ${from + PAGE}</NextContinuationToken>` : "";
    return `<ListBucketResult><IsTruncated>${more}</IsTruncated>${page.join("")}${next}</ListBucketResult>`;
  }

  #listUploads(query: URLSearchParams): string {
    const rows = [...this.uploads].filter(([, { key }]) => key.startsWith(query.get("prefix") ?? ""));
    const xml = rows.map(([id, { key }]) => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId></Upload>`);
    return `<ListMultipartUploadsResult>${xml.join("")}</ListMultipartUploadsResult>`;
  }
}

/** Returns what is stored for a body: a byte less, or one byte changed. */
function harmed(body: Buffer, fault: S3Fault | undefined): Buffer {
  if (fault === "corrupt") return body.subarray(1);
  if (fault === "altered") body.writeUInt8(body.readUInt8(0) ^ 1, 0);
  return body;
}

/** Status, code and message for a request that S3 would refuse. */
function refusalOf(request: IncomingMessage, url: URL, body: Buffer): [number, string, string] | undefined {
  const header = (name: string): string => String(request.headers[name] ?? "");
  const given =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request,\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})$/.exec(
      header("authorization"),
    );
  if (given === null) return [403, "AccessDenied", "no signature"];
  const [, id, day = "", region = "", names = "", signature] = given;
  const time = header("x-amz-date");
  const at = Date.parse(time.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  if (!(Math.abs(Date.now() - at) < SKEW_MS) || !time.startsWith(day))
    return [403, "RequestTimeTooSkewed", "the clock differs"];
  if (id !== S3_KEYS.accessKeyId) return [403, "InvalidAccessKeyId", "The access key does not exist"];
  if (region !== REGION) return [400, "AuthorizationHeaderMalformed", `the region is wrong; expecting '${REGION}'`];
  for (const needed of ["host", "x-amz-date", "x-amz-content-sha256"])
    if (!names.split(";").includes(needed)) return [403, "AccessDenied", `${needed} is not signed`];
  const bodyHash = sha256(body, "hex");
  if (header("x-amz-content-sha256") !== bodyHash) return [400, "XAmzContentSHA256Mismatch", "the body is another one"];
  const checksum = request.headers["x-amz-checksum-sha256"];
  if (checksum !== undefined && checksum !== sha256(body, "base64"))
    return [400, "BadDigest", "the checksum is another one"];
  // Percent-encoded pairs as received, sorted by name: ours need nothing more.
  const query = url.search
    .slice(1)
    .split("&")
    .filter(Boolean)
    .map((pair) => (pair.includes("=") ? pair : `${pair}=`))
    .sort();
  const canonical = [
    ...[request.method, url.pathname, query.join("&").replaceAll("+", "%20")],
    ...names.split(";").map((name) => `${name}:${header(name).trim()}`),
    ...["", names, bodyHash],
  ].join("\n");
  const scope = `${day}/${region}/s3/aws4_request`;
  const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();
  const signing = [day, region, "s3", "aws4_request"].reduce<string | Buffer>(hmac, `AWS4${S3_KEYS.secretAccessKey}`);
  const expected = hmac(
    signing,
    `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha256(Buffer.from(canonical), "hex")}`,
  ).toString("hex");
  return signature === expected ? undefined : [403, "SignatureDoesNotMatch", "The signature does not match"];
}

function sha256(bytes: Buffer, encoding: "hex" | "base64"): string {
  return createHash("sha256").update(bytes).digest(encoding);
}

function problem(code: string, message: string): string {
  return `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
}

function send(response: ServerResponse, status: number, body: string): ServerResponse {
  response.writeHead(status, { "content-type": "application/xml", "content-length": Buffer.byteLength(body) });
  return response.end(body);
}
