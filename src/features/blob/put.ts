// blob_put: takes a blob in parts, at the leader. The last part is answered once enough members hold all of it, or says
// that they do not yet: then the same call is repeated, without bytes.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { pause } from "../../lib/pause.ts";
import { BLOB_LEVEL, publicReferences } from "../../operation/blob-references.ts";
import { type CallContext, type Operation, read } from "../../operation/define.ts";
import { NODE } from "../../operation/node-parts.ts";
import type { Services } from "../../operation/services.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import type { Reader } from "../../store/store.ts";
import { blobAdd } from "./add.ts";
import { blobHash, blobSpace, blobType, MAX_BLOB_BYTES, MAX_COPIES, PART_BYTES } from "./arguments.ts";
import { BLOBS } from "./blobs.ts";
import { blobOf, holdersOf, refuseQuota } from "./rows.ts";

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
  holders: z.number().int().describe("Full members that hold it; 0 while it is not stored."),
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
  if (known !== undefined) {
    if (known.bytes !== bytes) throw otherSize(sha256, known.bytes, bytes);
    await propose(node, asked, context, []);
    return answer(reader, asked, { received: bytes, stored: true });
  }
  if (bytes > limits.maxBytes) {
    throw new Fault("too_large", `The blob has ${bytes} bytes; the limit is ${limits.maxBytes}`, {
      hint: "Split it, or ask an admin to raise blobs.max_bytes.",
      details: { limit: limits.maxBytes },
    });
  }
  const quota = { caller_bytes: limits.callerBytes, space_bytes: limits.spaceBytes };
  refuseQuota(reader, { space, author: context.author, bytes }, quota);
  const owner = JSON.stringify([context.author, context.agent?.name ?? ""]);
  const key = JSON.stringify([owner, space, sha256]);
  if (!blobs.isArrived(key)) {
    const { data } = asked;
    // An empty blob has no other part than none.
    if (data === undefined && bytes > 0)
      return answer(reader, asked, { received: await blobs.incoming.received(key), stored: false });
    const part = bytesOf(data ?? "");
    const { received, isWhole } = await blobs.incoming.add({ key, owner, sha256, bytes }, asked.offset ?? 0, part);
    if (!isWhole) return answer(reader, asked, { received, stored: false });
    blobs.noteArrived(key);
  }
  const copies = asked.copies ?? limits.copies;
  const copying = blobs.copy(key, { sha256, bytes, copies });
  const answered = new AbortController();
  const late = pause(COPIES_MS, AbortSignal.any([context.signal, answered.signal])).then(() => undefined);
  const holders = await Promise.race([copying, late]).finally(() => answered.abort());
  if (holders === undefined) return answer(reader, asked, { received: bytes, stored: false });
  await propose(node, asked, context, holders);
  blobs.forgetArrived(key);
  return answer(reader, asked, { received: bytes, stored: true });
}

async function propose(node: Services, asked: Input, context: CallContext, holders: readonly string[]): Promise<void> {
  const limits = node.get(NODE).limits().blobs;
  const { space, sha256, bytes } = asked;
  const command = {
    ...{ space, sha256, bytes, holders },
    content_type: asked.content_type ?? "application/octet-stream",
    copies: asked.copies ?? limits.copies,
    agent: context.agent?.name ?? "",
    keep_ms: asked.keep_hours === undefined ? limits.keepMs : asked.keep_hours * HOUR_MS,
    caller_bytes: limits.callerBytes,
    space_bytes: limits.spaceBytes,
  };
  await context.writes.propose(blobAdd, command);
}

function answer(reader: Reader, { space, sha256, bytes }: Input, state: { received: number; stored: boolean }) {
  const holders = state.stored ? holdersOf(reader, sha256).length : 0;
  return { space, sha256, bytes, ...state, holders, references: publicReferences(reader, space, sha256) };
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
