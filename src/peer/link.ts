// Calls peers: finds the address of a device in the network map and sends a frame through egress.sock. A call ends in
// an answer, in the peer's own Fault, or in a Fault of this node that says whether anything was sent.

import { z } from "zod";
import { MAX_FRAME_BYTES } from "../lib/bounds.ts";
import { ByteBudget, type ByteHold } from "../lib/byte-budget.ts";
import { type DialedSocket, dialSocket } from "../lib/dialed-socket.ts";
import { directFetch } from "../lib/direct-fetch.ts";
import { EGRESS_REFUSAL_HEADER } from "../lib/egress-refusal.ts";
import { Fault } from "../lib/fault.ts";
import { parseObject } from "../lib/json-object.ts";
import { pause } from "../lib/pause.ts";
import { reasonOf } from "../lib/reason-of.ts";
import { faultOfValue } from "./fault-frame.ts";
import { MEMBER_BYTES, readBody } from "./frame-body.ts";
import { decodeFrame, encodeFrame, FRAME_TYPE } from "./frames.ts";

/** The tailnet port on which members listen for each other. */
export const PEER_PORT = 4747;

/** A device by its StableNodeID, or a host name to dial. */
export type PeerTarget = { node: string } | { host: string };

/** Lists the devices that the tailnet shows now. */
export interface PeerDirectory {
  peers(): Promise<readonly { id: string; ips: readonly string[]; dnsName?: string }[]>;
}

export interface PeerLinkOptions {
  directory: PeerDirectory;
  /** Path of egress.sock. */
  egress: string;
  /** Secret that egress.sock demands. */
  secret: string;
}

/** Bounds of a call. */
export interface PeerCallOptions {
  /** Time for the peer to answer, in ms. */
  timeoutMs: number;
  signal: AbortSignal;
  /** Largest answer in bytes; by default that of any frame. */
  maxBytes?: number;
}

/** A request that is passed on as it is. */
export interface PassedRequest {
  method: string;
  headers: Headers;
  body: Uint8Array | undefined;
  signal: AbortSignal;
  /** Time until the head of the answer, in ms. */
  timeoutMs: number;
}

/** A WebSocket that is passed on. */
export interface PassedSocket extends Pick<PassedRequest, "headers" | "signal" | "timeoutMs"> {
  /** Subprotocols that the caller offers, as the header has them; "": none. */
  protocols: string;
  /** Largest message in bytes. */
  maxBytes: number;
}

/** Says that an answer is that of a request which was passed on, and no refusal of the machinery between. */
export const PASSED_HEADER = "cairn-passed";

/** Bytes of questions to one device, and to all. */
const QUESTION_BYTES = MEMBER_BYTES;
/** A member sends no more than MEMBER_BYTES of answers at once; some of them may still be in use here. */
const ANSWER_BYTES = { perKey: 2 * MEMBER_BYTES.perKey, total: 2 * MEMBER_BYTES.total };
/** How often a question waits for room, in ms. */
const ROOM_MS = 20;
const MAX_PROBLEM_BYTES = 64 * 1024;
const problem = z.object({ detail: z.string() });

/** Refusals of egress.sock before anything is sent. */
const NEVER_SENT: ReadonlySet<string> = new Set(["dial_refused", "dial_failed", "bad_secret"]);
/** Its refusal where the connection broke after that. */
const BROKEN = "exchange_failed";
/** Statuses of a node that stops, or whose Go half refuses the caller: its peer server has not seen the call. */
const REFUSED_AT_DOOR: ReadonlySet<number> = new Set([403, 421, 503]);

/** One question on its way. */
interface Sent {
  target: PeerTarget;
  host: string;
  path: string;
  frame: Uint8Array<ArrayBuffer>;
  /** Aborts when the peer has had its time. */
  late: AbortSignal;
  /** Holds the bytes of the answer. */
  answer: ByteHold;
}

/** Calls the other nodes of the tailnet. */
export class PeerLink {
  readonly #options: PeerLinkOptions;
  readonly #questions = new ByteBudget(QUESTION_BYTES);
  readonly #answers = new ByteBudget(ANSWER_BYTES);
  /** StableNodeID → address. Replaced by each look-up in the network map, so it is as large as that. */
  #addresses = new Map<string, string>();
  /** StableNodeID → name, for messages; as large as the network map. */
  #names = new Map<string, string>();

  constructor(options: PeerLinkOptions) {
    this.#options = options;
  }

  /** Forgets the addresses; call it when the network map has changed. */
  refresh(): void {
    this.#addresses.clear();
  }

  /**
   * Calls a path of a peer. Rejects with the Fault that the peer answered (`facts.fromPeer`), or with `unavailable`:
   * with the outcome `not_sent` where the peer did nothing, otherwise with `maybe_sent`.
   */
  async call(target: PeerTarget, path: string, value: unknown, options: PeerCallOptions): Promise<unknown> {
    const frame = encodeFrame(value);
    const host = await this.#hostOf(target);
    const question = this.#questions.hold(host);
    const answer = this.#answers.hold(host);
    try {
      const late = AbortSignal.timeout(options.timeoutMs);
      await this.#waitForRoom(target, question, { bytes: frame.byteLength, signal: options.signal, late });
      const { response, bytes } = await this.#send({ target, host, path, frame, late, answer }, options);
      return this.#read(target, response, bytes);
    } finally {
      question.release();
      answer.release();
    }
  }

  /**
   * Passes a request on to a path of a peer; its answer may be a stream. Rejects as `call` does where the peer or what
   * is between refuses it.
   */
  async open(target: PeerTarget, path: string, request: PassedRequest): Promise<Response> {
    const { method, headers, body } = request;
    return this.#passed(target, request, (host, signal) =>
      directFetch(`http://${host}:${PEER_PORT}${path}`, {
        method,
        headers: { ...Object.fromEntries(headers), "cairn-internal-secret": this.#options.secret },
        ...(body === undefined ? {} : { body }),
        redirect: "manual",
        decompress: false,
        signal,
        unix: this.#options.egress,
        keepalive: false,
      }),
    );
  }

  /** The same for a WebSocket. Resolves with the answer of what was asked where that refuses the handshake. */
  async openSocket(target: PeerTarget, path: string, request: PassedSocket): Promise<DialedSocket | Response> {
    const { protocols, maxBytes } = request;
    return this.#passed(target, request, (host, signal) => {
      const headers = new Headers(request.headers);
      headers.set("host", `${host}:${PEER_PORT}`);
      headers.set("cairn-internal-secret", this.#options.secret);
      return dialSocket({ at: { unix: this.#options.egress }, path, headers, protocols, maxBytes, signal });
    });
  }

  async #passed<Opened>(
    target: PeerTarget,
    { signal, timeoutMs }: Pick<PassedRequest, "signal" | "timeoutMs">,
    send: (host: string, signal: AbortSignal) => Promise<Opened | Response>,
  ): Promise<Opened | Response> {
    const host = await this.#hostOf(target);
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), timeoutMs);
    try {
      const response = await send(host, AbortSignal.any([signal, late.signal]));
      if (!(response instanceof Response) || response.headers.has(PASSED_HEADER)) return response;
      const answer = this.#answers.hold(host);
      try {
        const bytes = await readBody(response, answer, MAX_PROBLEM_BYTES);
        if (typeof bytes === "string") throw this.#unreachable(target, "answered what is no answer", "maybe_sent");
        this.#read(target, response, bytes);
      } finally {
        answer.release();
      }
      throw this.#unreachable(target, "answered what is no answer", "maybe_sent");
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof Fault) throw cause;
      const why = late.signal.aborted ? `did not answer within ${timeoutMs} ms` : `did not answer: ${reasonOf(cause)}`;
      throw this.#unreachable(target, why, "maybe_sent", cause);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits until the question fits the bytes that may be on their way. Fault `unavailable`, not sent. */
  async #waitForRoom(
    target: PeerTarget,
    question: ByteHold,
    { bytes, signal, late }: { bytes: number; signal: AbortSignal; late: AbortSignal },
  ): Promise<void> {
    while (!question.grow(bytes)) {
      if (late.aborted) throw this.#unreachable(target, "has not taken what this node sent it before", "not_sent");
      await pause(ROOM_MS, signal);
    }
  }

  async #send(
    { target, host, path, frame, late, answer }: Sent,
    { signal, timeoutMs, maxBytes = MAX_FRAME_BYTES }: PeerCallOptions,
  ): Promise<{ response: Response; bytes: Uint8Array }> {
    try {
      const response = await directFetch(`http://${host}:${PEER_PORT}/peer/${path}`, {
        method: "POST",
        headers: { "content-type": FRAME_TYPE, "cairn-internal-secret": this.#options.secret },
        body: frame,
        redirect: "manual",
        signal: AbortSignal.any([signal, late]),
        unix: this.#options.egress,
        // Bun pools connections by host alone, whatever socket they use.
        keepalive: false,
      });
      const bytes = await readBody(response, answer, maxBytes);
      if (typeof bytes !== "string") return { response, bytes };
      const much = bytes === "too_large" ? `more than ${maxBytes} bytes` : "more than can be read at once";
      throw this.#unreachable(target, `answered ${much}`, "maybe_sent");
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof Fault) throw cause;
      const why = late.aborted ? `did not answer within ${timeoutMs} ms` : `did not answer: ${reasonOf(cause)}`;
      throw this.#unreachable(target, why, "maybe_sent", cause);
    }
  }

  /** Returns the value of an answer, or throws the Fault that it is. */
  #read(target: PeerTarget, response: Response, bytes: Uint8Array): unknown {
    if (response.headers.get("content-type") !== FRAME_TYPE) throw this.#stranger(target, response, bytes);
    const decoded = this.#decode(target, bytes);
    if (response.ok) {
      const answered = z.object({ value: z.unknown() }).safeParse(decoded);
      if (answered.success) return answered.data.value;
    }
    throw faultOfValue(decoded) ?? this.#unreachable(target, "answered what is no answer", "maybe_sent");
  }

  async #hostOf(target: PeerTarget): Promise<string> {
    if ("host" in target) return target.host;
    const known = this.#addresses.get(target.node);
    if (known !== undefined) return known;
    let peers: Awaited<ReturnType<PeerDirectory["peers"]>>;
    try {
      peers = await this.#options.directory.peers();
    } catch (cause) {
      throw this.#unreachable(target, `cannot be looked up: ${reasonOf(cause)}`, "not_sent", cause);
    }
    this.#addresses = new Map(peers.flatMap(({ id, ips }) => (ips[0] === undefined ? [] : [[id, hostFor(ips)]])));
    this.#names = new Map(peers.flatMap(({ id, dnsName = "" }) => (dnsName === "" ? [] : [[id, shortOf(dnsName)]])));
    const found = this.#addresses.get(target.node);
    if (found === undefined) throw this.#unreachable(target, "is not seen on the tailnet by this node", "not_sent");
    return found;
  }

  /** Decodes an answer. One that broke off is no refusal: the peer may have done the call. */
  #decode(target: PeerTarget, bytes: Uint8Array): unknown {
    try {
      return decodeFrame(bytes);
    } catch (cause) {
      throw this.#unreachable(target, `did not answer whole: ${reasonOf(cause)}`, "maybe_sent", cause);
    }
  }

  #unreachable(target: PeerTarget, what: string, outcome: "not_sent" | "maybe_sent", cause?: unknown): Fault {
    const name = "node" in target ? (this.#names.get(target.node) ?? target.node) : target.host;
    return new Fault("unavailable", `The node ${name} ${what}`, {
      hint:
        "See whether it is online, and whether the tailnet policy lets the fleet's nodes reach port " +
        `${PEER_PORT} of each other.`,
      facts: { outcome },
      details: { retryAfterSeconds: 1 },
      cause,
    });
  }

  /** Returns the Fault for an answer that is no frame: from this node's Go half, or from the peer's. */
  #stranger(target: PeerTarget, { status, headers }: Response, bytes: Uint8Array): Fault {
    const said = problem.safeParse(parseObject(new TextDecoder().decode(bytes.subarray(0, MAX_PROBLEM_BYTES))));
    const detail = said.data?.detail ?? `status ${status}`;
    const code = headers.get(EGRESS_REFUSAL_HEADER) ?? "";
    if (code === BROKEN || NEVER_SENT.has(code)) {
      // The address may have gone to another device, or the device to another address.
      this.refresh();
      return this.#unreachable(target, `cannot be reached: ${detail}`, code === BROKEN ? "maybe_sent" : "not_sent");
    }
    return this.#unreachable(target, `answered: ${detail}`, REFUSED_AT_DOOR.has(status) ? "not_sent" : "maybe_sent");
  }
}

function shortOf(dnsName: string): string {
  return dnsName.split(".")[0] ?? dnsName;
}

function hostFor(ips: readonly string[]): string {
  const ip = ips.find((candidate) => !candidate.includes(":")) ?? ips[0] ?? "";
  return ip.includes(":") ? `[${ip}]` : ip;
}
