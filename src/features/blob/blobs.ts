// The blobs of one full member: files, what is arriving, and the copies that it makes as the leader.

import { Fault } from "../../lib/fault.ts";
import type { FullMembers } from "../../operation/node-parts.ts";
import { ServiceKey } from "../../operation/services.ts";
import { BlobFolder } from "./blob-folder.ts";
import { Copier } from "./copier.ts";
import { Fetches } from "./fetches.ts";
import { IncomingBlobs } from "./incoming.ts";
import { BlobPeers } from "./peer-paths.ts";

/** Most uploads that have arrived and wait for copies or for their caller. */
const MAX_ARRIVED = 1024;

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
  readonly #arrived = new Set<string>();
  readonly #copying = new Map<string, Promise<string[]>>();
  readonly #stopped = new AbortController();

  constructor(options: BlobsOptions) {
    const { data, members, nowMs } = options;
    this.#options = options;
    this.folder = new BlobFolder(data);
    this.incoming = new IncomingBlobs(this.folder, nowMs);
    this.peers = new BlobPeers(members);
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
  noteArrived(key: string): void {
    const [oldest] = this.#arrived.size >= MAX_ARRIVED ? this.#arrived : [];
    if (oldest !== undefined) this.#arrived.delete(oldest);
    this.#arrived.add(key);
  }

  /** Forgets an upload: its blob is known now. */
  forgetArrived(key: string): void {
    this.#arrived.delete(key);
  }

  /**
   * Copies a blob that is here to other members, or joins the copying that is under way for the upload. Returns the
   * members that hold it. Rejects with Fault `unavailable`.
   */
  copy(key: string, blob: { sha256: string; bytes: number; copies: number }): Promise<string[]> {
    const running = this.#copying.get(key);
    if (running !== undefined) return running;
    const { members, nowMs } = this.#options;
    if (this.folder.sizeOf(blob.sha256) !== blob.bytes) {
      this.forgetArrived(key);
      return Promise.reject(gone(blob.sha256));
    }
    this.folder.touch(blob.sha256, nowMs());
    const holders = [members.self()];
    const run = this.copier.copy({ ...blob, holders }, this.#stopped.signal).finally(() => this.#copying.delete(key));
    run.catch(() => {});
    this.#copying.set(key, run);
    return run;
  }

  /** Ends everything that is under way. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.fetches.stop();
    await Promise.allSettled(this.#copying.values());
    await this.incoming.close();
  }
}

/** Nobody asked for the upload for long, so its bytes were removed. */
function gone(sha256: string): Fault {
  return new Fault("unavailable", `The bytes of the blob ${sha256} are no longer on this node`, {
    hint: "Send it again from the beginning.",
    facts: { outcome: "not_done" },
  });
}

/** The blobs of this full member. */
export const BLOBS: ServiceKey<Blobs> = new ServiceKey("the blobs");
