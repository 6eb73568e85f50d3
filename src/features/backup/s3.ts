// Requests to an S3-compatible service: signed, retried, with errors that say what the service said. bucket.ts decides
// what is stored there.

import { Fault } from "../../lib/fault.ts";
import { printableLine } from "../../lib/printable.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { retry } from "../../lib/retry.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import type { Outbound } from "../../operation/node-parts.ts";
import { signed } from "./signature.ts";
import { xmlText } from "./xml.ts";

export interface S3Options {
  /** Origin of the service. */
  endpoint: string;
  bucket: string;
  region: string;
  keys: { accessKeyId: string; secretAccessKey: string };
  outbound: Outbound;
  nowMs: () => number;
  /** Pause before the second attempt, in ms; it doubles each time. */
  retryMs?: number;
}

/** One request to the bucket. */
export interface S3Request {
  method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** Name of the object; "" for the bucket itself. */
  key: string;
  query?: Readonly<Record<string, string>>;
  headers?: Readonly<Record<string, string>>;
  body?: Uint8Array;
  signal: AbortSignal;
}

/** A request that may have checksums. */
export interface CheckedRequest extends S3Request {
  /** Headers with checksums, which some services do not know: once one refused them, they are left out. */
  checksums?: Readonly<Record<string, string>>;
}

/** A successful response with its body. */
export interface S3Response {
  headers: Headers;
  body: Uint8Array;
}

/** What services say of a header that they do not know, with status 400. A response to HEAD has no words. */
const NOT_KNOWN = new Set(["", "InvalidArgument", "InvalidRequest", "NotImplemented", "UnsupportedHeader"]);

/** The refusal of a request that the service may not know in this form. */
class NotKnown extends Fault {
  constructor({ code, message, hint, facts }: Fault) {
    super(code, message, { hint, facts });
  }
}

const TRIES = 4;
const RETRY_MS = 500;
const REQUEST_MS = 11 * 60_000;

/** A bucket, addressed by path (`https://host/bucket/key`), which every service supports. */
export class S3 {
  readonly #options: S3Options;
  /** Whether the service refused a request because of its checksums, and took it without. */
  #withoutChecksums = false;

  constructor(options: S3Options) {
    this.#options = options;
  }

  /** Reports whether no request had to be sent without its checksums. */
  get knowsChecksums(): boolean {
    return !this.#withoutChecksums;
  }

  /** The bucket and its service, for people. */
  get location(): string {
    return `s3://${this.#options.bucket} at ${this.#options.endpoint}`;
  }

  /**
   * Sends a request, again after errors that may pass: no response, 408, 429 and 5xx except 501. Rejects with Fault
   * `not_found`, or `unavailable` with what the service said.
   */
  async request({ checksums, ...request }: CheckedRequest): Promise<S3Response> {
    if (checksums === undefined || this.#withoutChecksums) return this.#repeated(request);
    try {
      return await this.#repeated({ ...request, headers: { ...request.headers, ...checksums } });
    } catch (error) {
      if (!(error instanceof NotKnown)) throw error;
      const response = await this.#repeated(request);
      this.#withoutChecksums = true;
      return response;
    }
  }

  #repeated(request: S3Request): Promise<S3Response> {
    return retry(() => this.#once(request), {
      firstMs: this.#options.retryMs ?? RETRY_MS,
      lastMs: Number.POSITIVE_INFINITY,
      tries: TRIES,
      mayRetry: (error) => error instanceof Fault && error.facts.transient === true,
      signal: request.signal,
    });
  }

  async #once({ method, key, query = {}, headers = {}, body, signal }: S3Request): Promise<S3Response> {
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
      const read = { headers: response.headers, body: new Uint8Array(await response.arrayBuffer()) };
      if (!response.ok) throw this.#errorFault(method, key, response.status, read);
      return read;
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof Fault) throw cause;
      throw this.#fault(`${method} ${key || "the bucket"} got no response: ${reasonOf(cause)}`, true, cause);
    }
  }

  /** Returns the fault of an error response. */
  #errorFault(method: string, key: string, status: number, { body }: S3Response): Fault {
    const text = new TextDecoder().decode(body.subarray(0, 16_384));
    const code = xmlText(text, "Code");
    const said = [code, xmlText(text, "Message")].filter(Boolean).join(": ");
    const what = `${method} ${key || "the bucket"}: ${status}${said === "" ? "" : ` ${printableLine(said).slice(0, 300)}`}`;
    if (status === 404)
      return new Fault("not_found", `${this.location}: ${what}`, {
        hint: "Check the name of the bucket and `cairn backup list --remote`.",
      });
    const fault = this.#fault(what, (status >= 500 && status !== 501) || status === 408 || status === 429);
    return status === 501 || (status === 400 && NOT_KNOWN.has(code)) ? new NotKnown(fault) : fault;
  }

  #fault(what: string, transient: boolean, cause?: unknown): Fault {
    return new Fault("unavailable", `${this.location}: ${what}`, {
      hint: "Check the bucket, its keys and their permissions, the region, and this machine's clock.",
      facts: { transient },
      cause,
    });
  }
}
