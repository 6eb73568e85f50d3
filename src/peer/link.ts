// Asks peers: finds the address of a device in the network map, sends a frame through egress.sock, and tells the three ends of a call apart:
// an answer, the peer's own Fault, and a Fault of ours that says whether anything was sent.

import { z } from "zod";
import { Fault } from "../lib/fault.ts";
import { parseObject } from "../lib/json-object.ts";
import { faultOfValue } from "./fault-frame.ts";
import { decodeFrame, encodeFrame, FRAME_TYPE, MAX_FRAME_BYTES } from "./frames.ts";

/** Where members listen for each other on the tailnet. */
export const PEER_PORT = 4747;

/** A device of the tailnet, or a name that its host part is dialled by. */
export type PeerTarget = { node: string } | { host: string };

/** The devices that the tailnet shows now. */
export interface PeerDirectory {
  peers(): Promise<readonly { id: string; ips: readonly string[]; dnsName?: string }[]>;
}

export interface PeerLinkOptions {
  directory: PeerDirectory;
  /** Path of egress.sock. */
  egress: string;
  /** What egress.sock wants to see. */
  secret: string;
}

/** How a call may end before its answer. */
export interface PeerCallOptions {
  /** The peer has this long to answer. */
  timeoutMs: number;
  signal: AbortSignal;
}

const MAX_PROBLEM_BYTES = 64 * 1024;
const problem = z.object({ code: z.string(), detail: z.string(), hint: z.string().optional() });

/** What egress.sock answers for a connection that never came to be. */
const NEVER_DIALLED: ReadonlySet<string> = new Set(["dial_refused", "bad_secret"]);
/** What the asked node answers in front of its peer server, where nothing has been done yet: it stops, or its Go half refused the caller. */
const REFUSED_AT_DOOR: ReadonlySet<number> = new Set([403, 421, 503]);

/** The way to the other nodes of this one. */
export class PeerLink {
  readonly #options: PeerLinkOptions;
  /** StableNodeID → address; filled whole by each look at the network map, so it is as large as that. */
  #addresses = new Map<string, string>();
  /** StableNodeID → name, for people; as large as the network map too. */
  #names = new Map<string, string>();

  constructor(options: PeerLinkOptions) {
    this.#options = options;
  }

  /** The network map changed: addresses are looked up anew. */
  refresh(): void {
    this.#addresses.clear();
  }

  /**
   * Asks a path of a peer. Rejects with the Fault that the peer answered (`facts.fromPeer`), or with `unavailable`:
   * with the outcome `not_sent` where the peer did nothing, otherwise with `maybe_sent`.
   */
  async call(target: PeerTarget, path: string, value: unknown, options: PeerCallOptions): Promise<unknown> {
    const frame = encodeFrame(value);
    const host = await this.#hostOf(target);
    const late = AbortSignal.timeout(options.timeoutMs);
    const signal = AbortSignal.any([options.signal, late]);
    let response: Response;
    let bytes: Uint8Array;
    try {
      response = await fetch(`http://${host}:${PEER_PORT}/peer/${path}`, {
        method: "POST",
        headers: { "content-type": FRAME_TYPE, "cairn-internal-secret": this.#options.secret },
        body: frame,
        redirect: "manual",
        signal,
        unix: this.#options.egress,
        // Bun keeps connections by host alone, whatever socket they go through.
        keepalive: false,
      });
      bytes = await readBounded(response);
    } catch (cause) {
      options.signal.throwIfAborted();
      if (cause instanceof Fault) throw cause;
      const why = late.aborted ? `did not answer within ${options.timeoutMs} ms` : `did not answer: ${reasonOf(cause)}`;
      throw this.#unreachable(target, why, "maybe_sent", cause);
    }
    if (response.headers.get("content-type") !== FRAME_TYPE) throw this.#stranger(target, response.status, bytes);
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

  /** An answer that broke off is no refusal: what was asked may have been done. */
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
      hint: "See whether it is online, and whether the tailnet policy lets the fleet's nodes reach port 4747 of each other.",
      facts: { outcome },
      details: { retryAfterSeconds: 1 },
      cause,
    });
  }

  /** An answer that is no frame: of our own Go half, which could not reach the peer, or of what stands before the peer's server. */
  #stranger(target: PeerTarget, status: number, bytes: Uint8Array): Fault {
    const said = problem.safeParse(parseObject(new TextDecoder().decode(bytes.subarray(0, MAX_PROBLEM_BYTES))));
    const { code, detail } = said.success ? said.data : { code: "", detail: `status ${status}` };
    if (code === "dial_failed" || NEVER_DIALLED.has(code)) {
      // The address may have gone to another device, or the device to another address.
      this.refresh();
      return this.#unreachable(
        target,
        `cannot be reached: ${detail}`,
        NEVER_DIALLED.has(code) ? "not_sent" : "maybe_sent",
      );
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

/** The body as far as a frame may go; Fault `unavailable` beyond. */
async function readBounded(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_FRAME_BYTES) {
      throw new Fault("unavailable", `A peer answered more than ${MAX_FRAME_BYTES} bytes`, {
        hint: "Ask for less at once.",
        facts: { outcome: "maybe_sent" },
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
