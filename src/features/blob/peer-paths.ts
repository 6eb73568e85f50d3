// What full members ask of each other about blobs: bytes of a blob, which blobs a member has and how much room, and to
// fetch a copy. Edges may ask none of it: they read by operations, with the rights of their callers.

import { z } from "zod";
import { PART_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { BLOB_HASH } from "../../operation/blob-references.ts";
import type { FullMembers } from "../../operation/node-parts.ts";
import type { PeerHandler, PeerMember } from "../../peer/server.ts";
import { MAX_BLOB_BYTES } from "./arguments.ts";
import type { BlobFolder } from "./blob-folder.ts";
import type { Fetches } from "./fetches.ts";

/** Most blobs that one question names. */
export const MAX_ASKED = 500;

const ASK_MS = 15_000;
/** A holder that failed is asked last for so long, in ms. */
const FAILED_MS = 60_000;
const MAX_FAILED = 256;
const hash = z.string().regex(BLOB_HASH);
const part = z.object({
  sha256: hash,
  offset: z.number().int().min(0),
  length: z.number().int().min(0).max(PART_BYTES),
});
/** With their sizes: a file of another size is no copy. */
const check = z.object({
  blobs: z.array(z.object({ sha256: hash, bytes: z.number().int().min(0) })).max(MAX_ASKED),
});
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
    async handle({ member, input: { blobs } }) {
      refuseEdge(member);
      const missing = blobs.filter(({ sha256, bytes }) => folder.sizeOf(sha256) !== bytes).map(({ sha256 }) => sha256);
      return { missing, free_bytes: folder.freeBytes() };
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
  readonly #nowMs: () => number;
  /** Members that did not give a part, and when, in ms; emptied where there are too many. */
  readonly #failed = new Map<string, number>();
  /** The member that gave the last part. */
  #good = "";

  constructor(members: FullMembers, nowMs: () => number) {
    this.#members = members;
    this.#nowMs = nowMs;
  }

  /** Returns holders in the order in which they should be asked for bytes: one that is away costs each part a wait. */
  inOrder(holders: readonly string[]): string[] {
    const rank = (node: string) => {
      const failed = this.#failed.get(node);
      if (failed !== undefined && this.#nowMs() - failed < FAILED_MS) return 2;
      return node === this.#good ? 0 : 1;
    };
    return [...holders].sort((a, b) => rank(a) - rank(b));
  }

  /** Returns bytes of a blob of another member. Rejects with its Fault, or `unavailable`. */
  async part(node: string, asked: z.input<typeof part>, signal: AbortSignal): Promise<Uint8Array> {
    const options = { timeoutMs: ASK_MS, signal };
    try {
      const { data } = partAnswer.parse(await this.#members.ask(node, "blob_part", asked, options));
      this.#failed.delete(node);
      this.#good = node;
      return data;
    } catch (error) {
      // A caller that left says nothing of the member.
      if (signal.aborted) throw error;
      if (this.#failed.size >= MAX_FAILED) this.#failed.clear();
      this.#failed.set(node, this.#nowMs());
      throw error;
    }
  }

  /** Returns which of these blobs another member lacks, and its room. */
  async check(node: string, blobs: readonly { sha256: string; bytes: number }[], signal: AbortSignal) {
    const options = { timeoutMs: ASK_MS, signal };
    const asked = blobs.map(({ sha256, bytes }) => ({ sha256, bytes }));
    return checkAnswer.parse(await this.#members.ask(node, "blob_check", { blobs: asked }, options));
  }

  /** Asks a member to fetch a blob; it answers how far it is. */
  async fetch(node: string, asked: z.input<typeof fetch>, signal: AbortSignal) {
    const options = { timeoutMs: ASK_MS, signal };
    return fetchAnswer.parse(await this.#members.ask(node, "blob_fetch", asked, options));
  }
}
