// The blobs of one full member: files, what is arriving, and the copies that it makes as the leader.

import { Fault } from "../../lib/fault.ts";
import type { FullMembers } from "../../operation/node-parts.ts";
import { ServiceKey } from "../../operation/services.ts";
import { ROW_BYTES } from "../../operation/usage.ts";
import { BlobFolder } from "./blob-folder.ts";
import { Copier, type CopyingState } from "./copier.ts";
import { Fetches } from "./fetches.ts";
import { type Arriving, IncomingBlobs } from "./incoming.ts";
import { BlobPeers } from "./peer-paths.ts";

/** Most uploads that have arrived and wait for copies or for their caller. */
const MAX_ARRIVED = 1024;

/** Bytes that arrived may wait so long for their row, in ms. */
export const UNKNOWN_MS = 3_600_000;

/** Holders of a known blob have so long to say that they have it, in ms. */
const HOLDERS_MS = 5000;

/** A copying that is under way. */
interface Copying {
  copies: number;
  state: CopyingState;
  done: Promise<string[]>;
}

interface ToHave {
  sha256: string;
  bytes: number;
}

/** What `Blobs` works with. */
export interface BlobsOptions {
  /** The data folder. */
  data: string;
  members: FullMembers;
  nowMs: () => number;
}

/** The blobs of one node. */
export class Blobs {
  readonly folder: BlobFolder;
  readonly incoming: IncomingBlobs;
  readonly peers: BlobPeers;
  readonly fetches: Fetches;
  readonly copier: Copier;
  readonly #options: BlobsOptions;
  /** Uploads whose bytes are all here, by key: only who sent them all may have the blob added. */
  readonly #arrived = new Map<string, Arriving & { atMs: number }>();
  readonly #copying = new Map<string, Copying>();
  readonly #stopped = new AbortController();

  constructor(options: BlobsOptions) {
    const { data, members, nowMs } = options;
    this.#options = options;
    this.folder = new BlobFolder(data);
    this.incoming = new IncomingBlobs(this.folder, nowMs);
    this.peers = new BlobPeers(members, nowMs);
    this.fetches = new Fetches({
      folder: this.folder,
      incoming: this.incoming,
      part: (node, asked, signal) => this.peers.part(node, asked, signal),
      nowMs,
    });
    const { folder, peers, fetches } = this;
    this.copier = new Copier({ members, peers, folder, fetches, nowMs });
  }

  /** Aborts when the node stops. */
  get stopped(): AbortSignal {
    return this.#stopped.signal;
  }

  /** Reports whether an upload has arrived whole. */
  isArrived(key: string): boolean {
    return this.#arrived.has(key);
  }

  /** Notes that an upload has arrived whole. The oldest is forgotten where there are too many. */
  noteArrived(upload: Arriving): void {
    const [oldest] = this.#arrived.size >= MAX_ARRIVED ? this.#arrived.keys() : [];
    if (oldest !== undefined) this.#arrived.delete(oldest);
    this.#arrived.set(upload.key, { ...upload, atMs: this.#options.nowMs() });
  }

  /** Forgets an upload: its blob is known now. */
  forgetArrived(key: string): void {
    this.#arrived.delete(key);
  }

  /** Forgets an upload that will never be known, and removes its bytes where nothing else may need them. */
  dropArrived(key: string, isKnown: (sha256: string) => boolean): void {
    const upload = this.#arrived.get(key);
    this.#arrived.delete(key);
    if (upload === undefined || isKnown(upload.sha256)) return;
    const isWanted = [...this.#arrived.values()].some(({ sha256 }) => sha256 === upload.sha256);
    if (!isWanted) this.folder.remove(upload.sha256);
  }

  /** Returns the bytes of uploads that have no row yet, but for this one: those of a caller, and those of a space. */
  pending({ key, owner, space }: Pick<Arriving, "key" | "owner" | "space">): { caller: number; space: number } {
    const now = this.#options.nowMs();
    // Their bytes are removed then (sweep.ts).
    for (const [each, { atMs }] of this.#arrived) if (now - atMs > UNKNOWN_MS) this.#arrived.delete(each);
    const others = [...this.incoming.arriving(), ...this.#arrived.values()].filter((each) => each.key !== key);
    const sum = (found: readonly Arriving[]) => found.reduce((bytes, each) => bytes + each.bytes + ROW_BYTES, 0);
    return {
      caller: sum(others.filter((each) => each.owner === owner)),
      space: sum(others.filter((each) => each.owner !== undefined && each.space === space)),
    };
  }

  /**
   * Returns the members that hold a known blob, those that surely do first; none where no one is found that does.
   * `listed`: whom the log names.
   */
  async holders({ sha256, bytes }: ToHave, listed: readonly string[], signal: AbortSignal): Promise<string[]> {
    const { members, nowMs } = this.#options;
    const self = members.self();
    const others = members.others().filter(({ node }) => listed.includes(node));
    if (this.folder.sizeOf(sha256) === bytes) {
      this.folder.touch(sha256, nowMs());
      return [self, ...others.map(({ node }) => node)];
    }
    const within = AbortSignal.any([signal, AbortSignal.timeout(HOLDERS_MS)]);
    const asked = others.map(async ({ node }) => {
      const answer = await this.peers.check(node, [{ sha256, bytes }], within).catch(() => undefined);
      return { node, has: answer === undefined ? undefined : answer.missing.length === 0 };
    });
    const answers = await Promise.all(asked);
    signal.throwIfAborted();
    const sure = answers.filter(({ has }) => has === true);
    if (sure.length === 0) return [];
    return [...sure, ...answers.filter(({ has }) => has === undefined)].map(({ node }) => node);
  }

  /**
   * Copies a blob that `holders` have to other members, or joins the copying of at least as many that is under way for
   * the upload. The promise `done` has the members that hold it, or rejects with Fault `unavailable`.
   */
  copy(key: string, blob: ToHave & { copies: number }, holders: readonly string[]): Copying {
    const running = this.#copying.get(key);
    if (running !== undefined && running.copies >= blob.copies) return running;
    const state: CopyingState = { holders: holders.length, missing: "" };
    const { signal } = this.#stopped;
    const run = this.copier.copy({ ...blob, holders }, signal, (now) => Object.assign(state, now));
    const done = run.finally(() => {
      if (this.#copying.get(key)?.state === state) this.#copying.delete(key);
    });
    const copying = { copies: blob.copies, state, done };
    copying.done.catch(() => {});
    this.#copying.set(key, copying);
    return copying;
  }

  /** Returns this member as the holder of an upload that has arrived. Fault `unavailable` where its bytes are gone. */
  arrivedHere(key: string, { sha256, bytes }: ToHave): string {
    const { members, nowMs } = this.#options;
    if (this.folder.sizeOf(sha256) !== bytes) {
      this.forgetArrived(key);
      throw gone(sha256);
    }
    this.folder.touch(sha256, nowMs());
    return members.self();
  }

  /** Ends everything that is under way. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.fetches.stop();
    await Promise.allSettled([...this.#copying.values()].map(({ done }) => done));
    await this.incoming.close();
  }
}

/** The upload was not asked for in a long time, so its bytes were removed. */
function gone(sha256: string): Fault {
  return new Fault("unavailable", `The bytes of the blob ${sha256} are no longer on this node`, {
    hint: "Send it again from the beginning.",
    facts: { outcome: "not_done" },
  });
}

/** The blobs of this full member. */
export const BLOBS: ServiceKey<Blobs> = new ServiceKey("the blobs");
