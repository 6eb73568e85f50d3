// AWS Signature Version 4 over the head of a request, by which S3-compatible services authenticate it. The body is
// covered by its SHA-256.

import { createHmac } from "node:crypto";
import { sha256Hex } from "../../lib/sha256.ts";

/** The keys, and what they sign for. */
export interface SigningKeys {
  accessKeyId: string;
  secretAccessKey: string;
  region: string;
  /** `s3`, except for the published test vectors. */
  service: string;
}

/** A request to sign. */
export interface SignedRequest {
  method: string;
  url: URL;
  /** Headers by lower-case name. All are signed, and so are `host` and `x-amz-date`, which are added. */
  headers: Readonly<Record<string, string>>;
  /** Hex SHA-256 of the body. */
  bodyHash: string;
  atMs: number;
}

/** Returns the headers to send: those given, `host`, `x-amz-date` and `authorization`. */
export function signed(request: SignedRequest, keys: SigningKeys): Record<string, string> {
  const time = new Date(request.atMs).toISOString().replaceAll(/[-:]|\.\d+/g, "");
  const scope = `${time.slice(0, 8)}/${keys.region}/${keys.service}/aws4_request`;
  const headers: Record<string, string> = { ...request.headers, host: request.url.host, "x-amz-date": time };
  const names = Object.keys(headers).sort();
  const canonical = [
    request.method,
    request.url.pathname.split("/").map(reencode).join("/"),
    canonicalQuery(request.url),
    ...names.map((name) => `${name}:${headers[name]?.trim().replaceAll(/ +/g, " ")}`),
    "",
    names.join(";"),
    request.bodyHash,
  ].join("\n");
  const text = ["AWS4-HMAC-SHA256", time, scope, sha256Hex(canonical)].join("\n");
  const dayKey = hmac(`AWS4${keys.secretAccessKey}`, time.slice(0, 8));
  const signingKey = hmac(hmac(hmac(dayKey, keys.region), keys.service), "aws4_request");
  const authorization = [
    `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/${scope}`,
    `SignedHeaders=${names.join(";")}`,
    `Signature=${hmac(signingKey, text).toString("hex")}`,
  ].join(",");
  return { ...headers, authorization };
}

function canonicalQuery(url: URL): string {
  return [...url.searchParams]
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([a, x], [b, y]) => compare(a, b) || compare(x, y))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function reencode(segment: string): string {
  return encode(decodeURIComponent(segment));
}

/** Percent-encodes everything but the unreserved characters of RFC 3986. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
