// Reads the bodies of requests of callers within bounds (security.md 14): of one body, and of all that one caller or
// all of them have in flight. Nothing is read before it is held: the server leaves what is not read with the client.

import { ByteBudget, type ByteHold } from "./byte-budget.ts";
import { Fault } from "./fault.ts";

/** What the body of one request holds, from before it is read until its response is made. */
export interface BodyHold extends ByteHold {
  /** Largest body of the listener in bytes. */
  readonly maxBytes: number;
}

/** Bodies of one caller that are in flight, in bytes, whatever their number; one largest body always fits twice. */
const CALLER_BYTES = 32 * 1024 * 1024;
/** All callers together may hold as much as this many of them. */
const CALLERS = 4;

/** The bodies in flight of all callers of a node. */
export class BodyBudget {
  readonly #maxBytes: number;
  readonly #budget: ByteBudget;

  /** `maxBytes`: largest body of one request. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    const perKey = Math.max(CALLER_BYTES, 2 * maxBytes);
    this.#budget = new ByteBudget({ perKey, total: CALLERS * perKey });
  }

  /** Bytes of bodies that are in flight now. */
  get total(): number {
    return this.#budget.total;
  }

  /** Begins to hold the body of a request of `caller`. */
  open(caller: string): BodyHold {
    return { ...this.#budget.hold(caller), maxBytes: this.#maxBytes };
  }
}

/** For requests of this process itself. */
export const UNBOUNDED: BodyHold = { maxBytes: Number.POSITIVE_INFINITY, grow: () => true, release: () => {} };

/**
 * Returns the bytes of a body of at most `maxBytes`. Faults: `too_large`, `rate_limited` (too much is in flight),
 * `cancelled` (it broke off).
 */
export async function readBytes(request: Request, hold: BodyHold, maxBytes: number): Promise<Uint8Array> {
  const limit = Math.min(maxBytes, hold.maxBytes);
  const declared = Number(request.headers.get("content-length") ?? Number.NaN);
  if (declared > limit) throw tooLarge(`has ${declared} bytes`, limit, hold);
  try {
    // The server holds a body to its declared length; only one without a length is counted while it is read.
    if (declared >= 0) {
      if (!hold.grow(declared)) throw tooMany();
      return await request.bytes();
    }
    return await readChunks(request, hold, limit);
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    // The client disconnected or sent broken HTTP: no error of this node, so nothing is logged.
    throw new Fault("cancelled", "The body ended before it was complete", { cause });
  }
}

async function readChunks(request: Request, hold: BodyHold, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > limit) throw tooLarge("is larger", limit, hold);
    if (!hold.grow(chunk.byteLength)) throw tooMany();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(what: string, limit: number, { maxBytes }: BodyHold): Fault {
  return new Fault("too_large", `The body ${what}; the limit is ${limit}`, {
    hint:
      limit === maxBytes
        ? "Send less at once, or raise the setting http.max_body_bytes."
        : "Send less at once: no request of this kind takes more, whatever http.max_body_bytes says.",
    details: { limit },
  });
}

function tooMany(): Fault {
  return new Fault("rate_limited", "Too many bytes of requests are in flight, of this caller or of all together", {
    hint: "Wait for the answers, then send the next ones.",
    facts: { outcome: "not_done" },
    details: { retryAfterSeconds: 2 },
  });
}
