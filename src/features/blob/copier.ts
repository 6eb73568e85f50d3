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

/** How long until a member is asked again how far it is, in ms: a small blob is there at once. */
const FIRST_ASK_MS = 20;
const LAST_ASK_MS = 250;
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

/** How far the copying of a blob is. */
export interface CopyingState {
  /** Members that hold it. */
  holders: number;
  /** Who fetches it, and who cannot take it, in words. */
  missing: string;
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

  /**
   * Copies a blob until enough members hold it. Returns the members that do. `tell` gets how far it is. Fault
   * `unavailable` where too few can.
   */
  async copy(blob: ToCopy, signal: AbortSignal, tell: (state: CopyingState) => void = () => {}): Promise<string[]> {
    const wanted = this.possible(blob.copies);
    const holders = [...blob.holders];
    const say = (missing: string) => tell({ holders: holders.length, missing });
    say("members are asked for their room");
    const { candidates, reasons } =
      holders.length >= wanted ? { candidates: [], reasons: [] } : await this.#candidates(blob, signal);
    while (holders.length < wanted) {
      const chosen = candidates.splice(0, wanted - holders.length);
      if (chosen.length === 0) break;
      say([...chosen.map(({ name }) => `${name} fetches it`), ...reasons].join("; "));
      const results = await Promise.allSettled(chosen.map(({ node }) => this.#copyTo(node, blob, signal)));
      signal.throwIfAborted();
      for (const [index, result] of results.entries()) {
        const { node = "", name = "" } = chosen[index] ?? {};
        if (result.status === "fulfilled") holders.push(node);
        else reasons.push(`${name}: ${reasonOf(result.reason)}`);
      }
    }
    if (holders.length >= wanted) return holders;
    const why = reasons.join("; ");
    throw new Fault(
      "unavailable",
      `${holders.length} of the ${counted(wanted, "member")} wanted hold the blob: ${why}`,
      {
        hint: "Bring members back or free space on them, then repeat the call: no byte is sent twice. Or ask for fewer copies (`copies`, --copies 1).",
        facts: { outcome: "not_done" },
        details: { retryAfterSeconds: 5 },
      },
    );
  }

  /**
   * Returns the members that could take a copy, this one included: first those that have the bytes already, then those
   * with the most room; and why the others cannot.
   */
  async #candidates({ sha256, bytes, holders }: ToCopy, signal: AbortSignal) {
    const { members, peers, folder } = this.#options;
    const others = members.others().filter(({ node }) => !holders.includes(node));
    const asked = await Promise.all(
      others.map(async ({ node, name }) => {
        const answer = await peers.check(node, [{ sha256, bytes }], signal).catch(() => undefined);
        return { node, name, has: answer?.missing.length === 0, free: answer?.free_bytes };
      }),
    );
    const self = { node: members.self(), name: "this node" };
    if (!holders.includes(self.node))
      asked.push({ ...self, has: folder.sizeOf(sha256) === bytes, free: folder.freeBytes() });
    signal.throwIfAborted();
    const reasons: string[] = [];
    const candidates = asked.flatMap(({ free, ...each }) => {
      if (each.has) return [{ ...each, free: Number.POSITIVE_INFINITY }];
      if (free !== undefined && free >= bytes) return [{ ...each, free }];
      reasons.push(`${each.name} ${free === undefined ? "does not answer" : `has no room for ${bytes} bytes`}`);
      return [];
    });
    candidates.sort((a, b) => (a.free === b.free ? (a.node < b.node ? -1 : 1) : b.free - a.free));
    return { candidates, reasons };
  }

  async #copyTo(node: string, { sha256, bytes, holders }: ToCopy, signal: AbortSignal): Promise<void> {
    const { members, peers, fetches, nowMs } = this.#options;
    const wanted = { sha256, bytes, from: [...holders] };
    const ask = () => (node === members.self() ? fetches.want(wanted) : peers.fetch(node, wanted, signal));
    let received = -1;
    let movedMs = nowMs();
    for (let pauseMs = FIRST_ASK_MS; ; pauseMs = Math.min(2 * pauseMs, LAST_ASK_MS)) {
      const state = await ask();
      if (state.has) return;
      if (state.failed !== "") throw new Error(state.failed);
      if (state.received > received) {
        received = state.received;
        movedMs = nowMs();
      }
      if (nowMs() - movedMs > STALLED_MS) throw new Error(`it fetched nothing for ${STALLED_MS / 1000} s`);
      await pause(pauseMs, signal);
    }
  }
}
