// blob_put: takes a blob in parts, at the leader. The last part is answered once enough members hold all of it, or says
// that they do not yet: then the same call is repeated, without bytes.

import { z } from "zod";
import { PART_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { pause } from "../../lib/pause.ts";
import { BLOB_LEVEL, publicReferences } from "../../operation/blob-references.ts";
import { type BlobLimits, type CallContext, type Operation, read } from "../../operation/define.ts";
import { NODE } from "../../operation/node-parts.ts";
import type { Services } from "../../operation/services.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import type { Reader } from "../../store/store.ts";
import { blobAdd } from "./add.ts";
import { blobHash, blobSpace, blobType, MAX_BLOB_BYTES, MAX_COPIES } from "./arguments.ts";
import { BLOBS } from "./blobs.ts";
import type { CopyingState } from "./copier.ts";
import { blobOf, holdersOf, isKnown as isKnownHash, refuseQuota } from "./rows.ts";

/** The last part waits so long for the copies, in ms: less than any client or forward. */
const COPIES_MS = 10_000;
/** Longest `keep_hours`. */
const MAX_KEEP_HOURS = 87_600;
const HOUR_MS = 3_600_000;

const input = z.object({
  space: blobSpace,
  sha256: blobHash,
  bytes: z.number().int().min(0).max(MAX_BLOB_BYTES).describe("Size of the whole blob."),
  offset: z.number().int().min(0).max(MAX_BLOB_BYTES).optional().describe("Where data begins in it (default 0)."),
  data: z
    .string()
    .max(4 * Math.ceil(PART_BYTES / 3))
    .optional()
    .describe(`Bytes in base64, at most ${PART_BYTES} of them. Left out: only says how far it is.`),
  content_type: blobType.optional(),
  copies: z
    .number()
    .int()
    .min(1)
    .max(MAX_COPIES)
    .optional()
    .describe("Full members that hold it before it counts as stored (default blobs.copies)."),
  keep_hours: z
    .number()
    .int()
    .min(1)
    .max(MAX_KEEP_HOURS)
    .optional()
    .describe("Hours for which it is kept at least while no context refers to it (default blobs.keep_hours)."),
});

type Input = z.output<typeof input>;

const output = z.object({
  space: z.string(),
  sha256: z.string(),
  bytes: z.number().int(),
  received: z.number().int().describe("Bytes that have arrived: the next part begins there."),
  stored: z
    .boolean()
    .describe("Whether enough members hold all of it. If not, send the next part; after the last, ask again."),
  holders: z.number().int().describe("Full members that hold all of it."),
  wanted: z.number().int().describe("Full members that must hold it before it is stored."),
  missing: z.string().optional().describe("Why it is not stored, in words; absent where it is."),
  references: z.number().int(),
});

/** Returns `blob_put`. */
export function blobPut(node: Services): Operation {
  return read({
    name: "blob_put",
    title: "Put a blob",
    isTool: false,
    search: "upload a file, store bytes, artifact, screenshot",
    description:
      "Takes a blob in parts, in order, each beginning at the offset that the answer before named. After the last part repeat the call without data until stored is true: then enough members hold it, and it is kept as long as a context of the space names it in its metadata (blobs). A blob that is in the space already is stored at once. `cairn blob put FILE` does all of it.",
    input,
    example: {
      space: "team-a",
      sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
      bytes: 4,
      data: "dGVzdA==",
      content_type: "text/plain",
    },
    samples: { offset: 0, copies: 2, keep_hours: 48 },
    output,
    access: { verb: "write", spaces: ({ space }) => [space] },
    atLeader: true,
    maxInputBytes: 2 * PART_BYTES,
    hints: { idempotent: true },
    aliases: { hash: "sha256", size: "bytes", type: "content_type", mime_type: "content_type" },
    async run(reader, asked, context) {
      refuseBelowLevel(reader, BLOB_LEVEL, "blob_put");
      context.writes.refuse();
      return put(node, reader, asked, context);
    },
  });
}

async function put(node: Services, reader: Reader, asked: Input, context: CallContext) {
  const { space, sha256, bytes } = asked;
  const blobs = node.get(BLOBS);
  const limits = node.get(NODE).limits().blobs;
  const known = blobOf(reader, space, sha256);
  if (known !== undefined && known.bytes !== bytes) throw otherSize(sha256, known.bytes, bytes);
  const owner = context.author;
  const key = JSON.stringify([owner, context.agent?.name ?? "", space, sha256]);
  const upload = { key, owner, space, sha256, bytes };
  const copies = asked.copies ?? limits.copies;
  const wanted = blobs.copier.possible(copies);
  const answered = (received: number, state: CopyingState) =>
    answer(reader, asked, { received, stored: false, wanted, ...state });
  const listed = known === undefined ? [] : holdersOf(reader, sha256);
  // What is lost is taken like a new blob.
  const found = known === undefined ? [] : await blobs.holders(asked, listed, context.signal);
  const isKnown = found.length > 0;
  if (!isKnown && !blobs.isArrived(key)) {
    if (known === undefined) refuseNew(reader, upload, limits, blobs.pending(upload));
    const state = { holders: 0, missing: "not all of its bytes are here" };
    const { data } = asked;
    // An empty blob has no other part than none.
    if (data === undefined && bytes > 0) return answered(await blobs.incoming.received(key), state);
    const { received, isWhole } = await blobs.incoming.add(upload, asked.offset ?? 0, bytesOf(data ?? ""));
    if (!isWhole) return answered(received, state);
    blobs.noteArrived(upload);
  }
  const from = isKnown ? found : [blobs.arrivedHere(key, asked)];
  const copying = blobs.copy(key, { sha256, bytes, copies }, from);
  const ended = new AbortController();
  const late = pause(COPIES_MS, AbortSignal.any([context.signal, ended.signal])).then(() => undefined);
  const holders = await Promise.race([copying.done, late]).finally(() => ended.abort());
  if (holders === undefined) return answered(bytes, copying.state);
  try {
    await context.writes.propose(blobAdd, commandOf(asked, context, { holders, copies, isKnown }, limits));
  } catch (error) {
    if (error instanceof Fault && error.code === "not_found" && isKnown)
      return answered(0, { holders: 0, missing: "the blob was removed meanwhile: all its bytes are wanted" });
    if (error instanceof Fault && error.code === "quota_exceeded")
      blobs.dropArrived(key, (each) => isKnownHash(reader, each));
    throw error;
  }
  blobs.forgetArrived(key);
  const state = { holders: holdersOf(reader, sha256).length, missing: "" };
  return answer(reader, asked, { received: bytes, stored: true, wanted, ...state });
}

/** Throws Fault `too_large` or `quota_exceeded`. */
function refuseNew(
  reader: Reader,
  { space, owner, bytes }: { space: string; owner: string; bytes: number },
  limits: BlobLimits,
  pending: { caller: number; space: number },
): void {
  if (bytes > limits.maxBytes) {
    throw new Fault("too_large", `The blob has ${bytes} bytes; the limit is ${limits.maxBytes}`, {
      hint: "Split it, or ask an admin to raise blobs.max_bytes.",
      details: { limit: limits.maxBytes },
    });
  }
  const quota = { caller_bytes: limits.callerBytes, space_bytes: limits.spaceBytes };
  refuseQuota(reader, { space, author: owner, bytes }, quota, pending);
}

function commandOf(
  asked: Input,
  { agent }: CallContext,
  { holders, copies, isKnown }: { holders: readonly string[]; copies: number; isKnown: boolean },
  limits: BlobLimits,
) {
  const { space, sha256, bytes } = asked;
  return {
    ...{ space, sha256, bytes, copies, holders, is_known: isKnown },
    content_type: asked.content_type ?? "application/octet-stream",
    agent: agent?.name ?? "",
    keep_ms: asked.keep_hours === undefined ? limits.keepMs : asked.keep_hours * HOUR_MS,
    caller_bytes: limits.callerBytes,
    space_bytes: limits.spaceBytes,
  };
}

function answer(
  reader: Reader,
  { space, sha256, bytes }: Input,
  { received, stored, holders, wanted, missing }: CopyingState & { received: number; stored: boolean; wanted: number },
) {
  return {
    ...{ space, sha256, bytes, received, stored, holders, wanted },
    ...(stored ? {} : { missing }),
    references: publicReferences(reader, space, sha256),
  };
}

function otherSize(sha256: string, has: number, asked: number): Fault {
  return new Fault("invalid_input", `The blob ${sha256} has ${has} bytes, not ${asked}`, {
    hint: "Say the size of the file whose hash it is.",
    details: { field: "bytes" },
  });
}

/** Returns the bytes of a text in base64. The decoder leaves out what is none, so its length shows it. */
function bytesOf(text: string): Uint8Array {
  const part = Buffer.from(text, "base64");
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  if (text.length % 4 === 0 && part.byteLength === (text.length / 4) * 3 - padding) return part;
  throw new Fault("invalid_input", "`data` is no base64 with padding", {
    hint: "Encode the bytes in base64 (RFC 4648, section 4).",
    details: { field: "data" },
  });
}
