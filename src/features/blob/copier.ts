// Copies of a blob on other members, made by the leader: it asks those with the most room to fetch the blob, and asks
// again until they have it.

import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { pause } from "../../lib/pause.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { FullMembers } from "../../operation/node-parts.ts";
import type { BlobFolder } from "./blob-folder.ts";
import type { Fetches } from "./fetches.ts";
import type { BlobPeers } from "./peer-paths.ts";

/** How often a member is asked how far it is, in ms. */
const ASK_MS = 250;
/** A member that fetches no further for so long is left out, in ms. */
const STALLED_MS = 60_000;

export interface CopierOptions {
  members: FullMembers;
  peers: BlobPeers;
  /** This member's own disk and fetches. */
  folder: BlobFolder;
  fetches: Fetches;
  nowMs: () => number;
}

/** A blob that is to be copied. */
export interface ToCopy {
  sha256: string;
  bytes: number;
  /** Members that have it already. */
  holders: readonly string[];
  /** Members that should have it, those included. */
  copies: number;
}

/** Makes copies. */
export class Copier {
  readonly #options: CopierOptions;

  constructor(options: CopierOptions) {
    this.#options = options;
  }

  /** Returns how many members can hold a blob of which `copies` are wanted. */
  possible(copies: number): number {
    return Math.min(copies, this.#options.members.others().length + 1);
  }

  /** Copies a blob until enough members hold it. Returns the members that do. Fault `unavailable` where too few can. */
  async copy(blob: ToCopy, signal: AbortSignal): Promise<string[]> {
    const wanted = this.possible(blob.copies);
    const holders = [...blob.holders];
    const reasons: string[] = [];
    const candidates = holders.length >= wanted ? [] : await this.#candidates(blob, signal);
    while (holders.length < wanted) {
      const chosen = candidates.splice(0, wanted - holders.length);
      if (chosen.length === 0) break;
      const results = await Promise.allSettled(chosen.map(({ node }) => this.#copyTo(node, blob, signal)));
      signal.throwIfAborted();
      for (const [index, result] of results.entries()) {
        const { node = "", name = "" } = chosen[index] ?? {};
        if (result.status === "fulfilled") holders.push(node);
        else reasons.push(`${name}: ${reasonOf(result.reason)}`);
      }
    }
    if (holders.length >= wanted) return holders;
    const why = reasons.length === 0 ? "no other member with room for it answers" : reasons.join("; ");
    throw new Fault(
      "unavailable",
      `${holders.length} of the ${counted(wanted, "member")} wanted hold the blob: ${why}`,
      {
        hint: "Bring members back or free space on them, then repeat the call: no byte is sent twice. Or ask for fewer copies.",
        facts: { outcome: "not_done" },
        details: { retryAfterSeconds: 5 },
      },
    );
  }

  /** Returns the members that could take a copy, this one included, those with the most room first. */
  async #candidates({ bytes, holders }: ToCopy, signal: AbortSignal) {
    const { members, peers, folder } = this.#options;
    const others = members.others().filter(({ node }) => !holders.includes(node));
    const asked = await Promise.all(
      others.map(async ({ node, name }) => {
        const answer = await peers.check(node, [], signal).catch(() => undefined);
        return { node, name, free: answer?.free_bytes ?? -1 };
      }),
    );
    if (!holders.includes(members.self()))
      asked.push({ node: members.self(), name: "this node", free: folder.freeBytes() });
    signal.throwIfAborted();
    return asked.filter(({ free }) => free >= bytes).sort((a, b) => b.free - a.free || (a.node < b.node ? -1 : 1));
  }

  async #copyTo(node: string, { sha256, bytes, holders }: ToCopy, signal: AbortSignal): Promise<void> {
    const { members, peers, fetches, nowMs } = this.#options;
    const wanted = { sha256, bytes, from: [...holders] };
    const ask = () => (node === members.self() ? fetches.want(wanted) : peers.fetch(node, wanted, signal));
    let received = -1;
    let movedMs = nowMs();
    for (;;) {
      const state = await ask();
      if (state.has) return;
      if (state.failed !== "") throw new Error(state.failed);
      if (state.received > received) {
        received = state.received;
        movedMs = nowMs();
      }
      if (nowMs() - movedMs > STALLED_MS) throw new Error(`it fetched nothing for ${STALLED_MS / 1000} s`);
      await pause(ASK_MS, signal);
    }
  }
}
