// Reads and sends the bodies of frames within bounds of bytes: what is read or waits to be sent is held in a budget
// until it is done with (security.md 11).

import type { ByteBudget, ByteHold } from "../lib/byte-budget.ts";
import { Fault } from "../lib/fault.ts";
import { Outlet } from "../lib/outlet.ts";
import { FRAME_TYPE } from "./frames.ts";

const MiB = 1024 * 1024;

/** Bytes of frames in flight between this node and one member, or all of them; for each direction. */
export const MEMBER_BYTES = { perKey: 32 * MiB, total: 128 * MiB };
/** The same for devices that are no members: they only ask about a fleet and join it. */
export const STRANGER_BYTES = { perKey: 64 * 1024, total: MiB };
/** Largest frame of a device that is no member. */
export const MAX_STRANGER_FRAME_BYTES = 16 * 1024;

/** Answers up to this size are sent at once and not counted. */
const SMALL_BYTES = 64 * 1024;
/** Larger answers are handed on in pieces of this size, as fast as the other side takes them. */
const PIECE_BYTES = 64 * 1024;

/** Why a body was not read. */
export type BodyRefusal = "too_large" | "too_many";

/**
 * Reads a body of at most `max` bytes, and holds them from before they are read. Returns why it was not read; rejects
 * where the body breaks off.
 */
export async function readBody(
  body: Pick<Request, "headers" | "body" | "bytes">,
  hold: ByteHold,
  max: number,
): Promise<Uint8Array | BodyRefusal> {
  const announced = Number(body.headers.get("content-length") ?? Number.NaN);
  if (announced > max) return "too_large";
  const isKnown = Number.isInteger(announced) && announced >= 0;
  if (isKnown) return hold.grow(announced) ? body.bytes() : "too_many";
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body.body ?? []) {
    size += chunk.byteLength;
    if (size > max) return "too_large";
    if (!hold.grow(chunk.byteLength)) return "too_many";
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Returns the response of a frame; undefined where too many bytes wait to be sent to this device, or in all. */
export function frameResponse(
  status: number,
  bytes: Uint8Array<ArrayBuffer>,
  held: { budget: ByteBudget; key: string; signal: AbortSignal },
): Response | undefined {
  const headers = { "Content-Type": FRAME_TYPE };
  if (bytes.byteLength <= SMALL_BYTES) return new Response(bytes, { status, headers });
  const hold = held.budget.hold(held.key);
  if (!hold.grow(bytes.byteLength)) return undefined;
  held.signal.addEventListener("abort", () => hold.release(), { once: true });
  let at = 0;
  const outlet: Outlet = new Outlet({
    onIdle: () => {
      const piece = bytes.subarray(at, at + PIECE_BYTES);
      at += PIECE_BYTES;
      if (at < bytes.byteLength) outlet.write(piece);
      else outlet.end(piece);
    },
    onEnd: () => hold.release(),
  });
  return new Response(outlet.body, { status, headers });
}

/** Returns the fault of an answer that was made and cannot be sent now. */
export function answerNotSent(): Fault {
  return new Fault("unavailable", "Too many answers wait to be sent to this node", {
    hint: "Take the answers, then ask again.",
    // The call itself was done.
    facts: { outcome: "unknown" },
    details: { retryAfterSeconds: 1 },
  });
}
