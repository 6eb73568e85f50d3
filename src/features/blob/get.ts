// blob_get: bytes of a blob, from this member or from one that holds them. The row of the space is looked up first, so
// a hash alone gives nothing, and says nothing of other spaces.

import { z } from "zod";
import { PART_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import { timeOf } from "../../lib/time-of.ts";
import { BLOB_LEVEL } from "../../operation/blob-references.ts";
import { type Operation, read } from "../../operation/define.ts";
import { FULL_MEMBERS } from "../../operation/node-parts.ts";
import type { Services } from "../../operation/services.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import { blobHash, blobSpace, MAX_BLOB_BYTES } from "./arguments.ts";
import { BLOBS } from "./blobs.ts";
import { holdersOf, requireBlob } from "./rows.ts";

const output = z.object({
  space: z.string(),
  sha256: z.string(),
  bytes: z.number().int().describe("Size of the whole blob."),
  content_type: z.string(),
  created_at: z.string(),
  offset: z.number().int(),
  data: z.string().describe("The bytes from offset on, in base64; empty at the end."),
});

/** Returns `blob_get`. */
export function blobGet(node: Services): Operation {
  return read({
    name: "blob_get",
    title: "Get a part of a blob",
    isTool: false,
    search: "download a file, read bytes",
    description:
      "Returns bytes of a blob of a space. Call it with growing offsets until all bytes are there, then check the SHA-256. `cairn blob get HASH` does all of it, and GET /blobs/{sha256} returns the bytes as they are.",
    input: z.object({
      space: blobSpace,
      sha256: blobHash,
      offset: z.number().int().min(0).max(MAX_BLOB_BYTES).optional().describe("Where to begin (default 0)."),
      length: z
        .number()
        .int()
        .min(0)
        .max(PART_BYTES)
        .optional()
        .describe(`At most this many bytes (default and most ${PART_BYTES}).`),
    }),
    example: { space: "team-a", sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" },
    samples: { offset: 0, length: 1024 },
    output,
    access: { verb: "read", spaces: ({ space }) => [space] },
    aliases: { hash: "sha256" },
    async run(reader, { space, sha256, offset = 0, length = PART_BYTES }, context) {
      refuseBelowLevel(reader, BLOB_LEVEL, "blob_get");
      const row = requireBlob(reader, space, sha256);
      const holders = holdersOf(reader, sha256);
      const wanted = Math.max(0, Math.min(length, row.bytes - offset));
      const data =
        wanted === 0
          ? new Uint8Array()
          : await bytesOf(node, { sha256, bytes: row.bytes, offset, length: wanted, holders }, context.signal);
      return {
        ...{ space, sha256, bytes: row.bytes, content_type: row.content_type, created_at: timeOf(row.created_at) },
        ...{ offset, data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64") },
      };
    },
  });
}

interface Wanted {
  sha256: string;
  bytes: number;
  offset: number;
  length: number;
  holders: readonly string[];
}

/** Returns the bytes from this member, else from the first holder that answers. Fault `unavailable`. */
async function bytesOf(
  node: Services,
  { sha256, bytes, offset, length, holders }: Wanted,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { folder, peers } = node.get(BLOBS);
  if (folder.sizeOf(sha256) === bytes) return folder.read(sha256, offset, length);
  const others = new Map(
    node
      .get(FULL_MEMBERS)
      .others()
      .map(({ node: id, name }) => [id, name]),
  );
  const reasons: string[] = [];
  for (const holder of peers.inOrder(holders)) {
    const name = others.get(holder);
    if (name === undefined) continue;
    try {
      const data = await peers.part(holder, { sha256, offset, length }, signal);
      if (data.byteLength === length) return data;
      reasons.push(`${name} has only ${offset + data.byteLength} of ${bytes} bytes`);
    } catch (error) {
      signal.throwIfAborted();
      reasons.push(`${name}: ${reasonOf(error)}`);
    }
  }
  const why = reasons.length === 0 ? "no member of the fleet holds it" : reasons.join("; ");
  throw new Fault("unavailable", `The bytes of the blob ${sha256} cannot be had now: ${why}`, {
    hint: "Bring a member back that holds it (cairn status shows which are away), or put the file again.",
    details: { retryAfterSeconds: 5 },
  });
}
