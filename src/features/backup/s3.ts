// Requests to an S3-compatible service: signed, each tried a few times, errors in words. What is kept there is bucket.ts's.

import { Fault } from "../../lib/fault.ts";
import { printableLine } from "../../lib/printable.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { retry } from "../../lib/retry.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import type { Outbound } from "../../operation/node-parts.ts";
import { signed } from "./signature.ts";

export interface S3Options {
  /** Origin of the service. */
  endpoint: string;
  bucket: string;
  region: string;
  keys: { accessKeyId: string; secretAccessKey: string };
  outbound: Outbound;
  nowMs: () => number;
  /** Pause before the second try, in milliseconds; it doubles. */
  retryMs?: number;
}

/** One question to the bucket. */
export interface S3Request {
  method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** Name of the object; empty for the bucket itself. */
  key: string;
  query?: Readonly<Record<string, string>>;
  headers?: Readonly<Record<string, string>>;
  body?: Uint8Array;
  signal: AbortSignal;
}

/** An answer with a status of success, its body read. */
export interface S3Answer {
  headers: Headers;
  body: Uint8Array;
}

const TRIES = 4;
const RETRY_MS = 500;
const REQUEST_MS = 11 * 60_000;

/** A bucket by path (`https://host/bucket/key`), which every service knows. */
export class S3 {
  readonly #options: S3Options;

  constructor(options: S3Options) {
    this.#options = options;
  }

  /** `s3://bucket` at its service, for people. */
  get place(): string {
    return `s3://${this.#options.bucket} at ${this.#options.endpoint}`;
  }

  /** Asks; again after what may pass: no answer, 408, 429 and 5xx. Faults: `not_found`; `unavailable` with what the service said. */
  async ask(request: S3Request): Promise<S3Answer> {
    return retry(() => this.#once(request), {
      firstMs: this.#options.retryMs ?? RETRY_MS,
      lastMs: Number.POSITIVE_INFINITY,
      tries: TRIES,
      mayRetry: (error) => error instanceof Fault && error.facts.transient === true,
      signal: request.signal,
    });
  }

  async #once({ method, key, query = {}, headers = {}, body, signal }: S3Request): Promise<S3Answer> {
    const { endpoint, bucket, region, keys, outbound, nowMs } = this.#options;
    const url = new URL(`${endpoint}/${bucket}${key === "" ? "" : `/${key}`}`);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const bodyHash = sha256Hex(body ?? "");
    const sent = signed(
      { method, url, headers: { ...headers, "x-amz-content-sha256": bodyHash }, bodyHash, atMs: nowMs() },
      { ...keys, region, service: "s3" },
    );
    const within = AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS)]);
    try {
      const init = { method, headers: sent, signal: within, ...(body === undefined ? {} : { body }) };
      const response = await outbound(url, init);
      const answer = { headers: response.headers, body: new Uint8Array(await response.arrayBuffer()) };
      if (!response.ok) throw this.#refusal(method, key, response.status, answer);
      return answer;
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof Fault) throw cause;
      throw this.#fault(`${method} ${key || "the bucket"} had no answer: ${reasonOf(cause)}`, true, cause);
    }
  }

  #refusal(method: string, key: string, status: number, { body }: S3Answer): Fault {
    const text = new TextDecoder().decode(body.subarray(0, 16_384));
    const said = [xmlText(text, "Code"), xmlText(text, "Message")].filter(Boolean).join(": ");
    const what = `${method} ${key || "the bucket"}: ${status}${said === "" ? "" : ` ${printableLine(said).slice(0, 300)}`}`;
    if (status === 404)
      return new Fault("not_found", `${this.place} answered ${what}`, {
        hint: "See the name of the bucket and `cairn backup list --remote`.",
      });
    return this.#fault(`answered ${what}`, status >= 500 || status === 408 || status === 429);
  }

  #fault(what: string, transient: boolean, cause?: unknown): Fault {
    return new Fault("unavailable", `${this.place}: ${what}`, {
      hint: "See the bucket, its keys and rights, the region and this machine's clock.",
      facts: { transient },
      cause,
    });
  }
}

/** The text of the first element of this name, unescaped; empty without one. */
export function xmlText(xml: string, name: string): string {
  return xmlTexts(xml, name)[0] ?? "";
}

/** The texts of all elements of this name that hold no others. */
export function xmlTexts(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, "g"))].map(([, text = ""]) => unescaped(text));
}

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function unescaped(text: string): string {
  return text.replaceAll(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(\w+));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[name] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/** `text` as it stands inside an element. */
export function xmlEscaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
