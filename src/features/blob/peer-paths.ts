// What full members ask of each other about blobs: bytes of a blob, which blobs a member has and how much room, and to
// fetch a copy. Edges may ask none of it: they read by operations, with the rights of their callers.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { BLOB_HASH } from "../../operation/blob-references.ts";
import type { FullMembers } from "../../operation/node-parts.ts";
import type { PeerHandler, PeerMember } from "../../peer/server.ts";
import { MAX_BLOB_BYTES, PART_BYTES } from "./arguments.ts";
import type { BlobFolder } from "./blob-folder.ts";
import type { Fetches } from "./fetches.ts";

/** Most blobs that one question names. */
export const MAX_ASKED = 500;

const ASK_MS = 15_000;
const hash = z.string().regex(BLOB_HASH);
const part = z.object({
  sha256: hash,
  offset: z.number().int().min(0),
  length: z.number().int().min(0).max(PART_BYTES),
});
const check = z.object({ hashes: z.array(hash).max(MAX_ASKED) });
const fetch = z.object({
  sha256: hash,
  bytes: z.number().int().min(0).max(MAX_BLOB_BYTES),
  from: z.array(z.string().max(200)).max(64),
});
const partAnswer = z.object({ data: z.instanceof(Uint8Array) });
const checkAnswer = z.object({ missing: z.array(z.string()).max(MAX_ASKED), free_bytes: z.number() });
const fetchAnswer = z.object({ has: z.boolean(), received: z.number(), failed: z.string() });

/** Returns the peer paths of a full member. */
// biome-ignore lint/suspicious/noExplicitAny: paths of every schema; the server parses before it calls
export function blobPeerPaths(folder: BlobFolder, fetches: Fetches): Readonly<Record<string, PeerHandler<any>>> {
  const partPath: PeerHandler<typeof part> = {
    schema: part,
    async handle({ member, input: { sha256, offset, length } }) {
      refuseEdge(member);
      return { data: await folder.read(sha256, offset, length) };
    },
  };
  const checkPath: PeerHandler<typeof check> = {
    schema: check,
    async handle({ member, input: { hashes } }) {
      refuseEdge(member);
      return { missing: hashes.filter((each) => folder.sizeOf(each) === undefined), free_bytes: folder.freeBytes() };
    },
  };
  const fetchPath: PeerHandler<typeof fetch> = {
    schema: fetch,
    async handle({ member, input }) {
      refuseEdge(member);
      return fetches.want(input);
    },
  };
  return { blob_part: partPath, blob_check: checkPath, blob_fetch: fetchPath };
}

function refuseEdge(member: PeerMember | undefined): void {
  if (member !== undefined && member.role !== "edge") return;
  throw new Fault("forbidden", "Only full members give each other bytes of blobs", {
    hint: "Read it with blob_get, as a caller that may read its space.",
  });
}

/** Asks other members about blobs. */
export class BlobPeers {
  readonly #members: FullMembers;

  constructor(members: FullMembers) {
    this.#members = members;
  }

  /** Returns bytes of a blob of another member. Rejects with its Fault, or `unavailable`. */
  async part(node: string, asked: z.input<typeof part>, signal: AbortSignal): Promise<Uint8Array> {
    const options = { timeoutMs: ASK_MS, signal };
    return partAnswer.parse(await this.#members.ask(node, "blob_part", asked, options)).data;
  }

  /** Returns which of these blobs another member lacks, and its room. */
  async check(node: string, hashes: readonly string[], signal: AbortSignal) {
    const options = { timeoutMs: ASK_MS, signal };
    return checkAnswer.parse(await this.#members.ask(node, "blob_check", { hashes }, options));
  }

  /** Asks a member to fetch a blob; it answers how far it is. */
  async fetch(node: string, asked: z.input<typeof fetch>, signal: AbortSignal) {
    const options = { timeoutMs: ASK_MS, signal };
    return fetchAnswer.parse(await this.#members.ask(node, "blob_fetch", asked, options));
  }
}
