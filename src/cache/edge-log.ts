// The log of an edge. It orders nothing: its changes come from the feed of a full member into the same table, so that
// positions, streams, waits and subscriptions work as on any node. feed-client.ts asks for the changes.

import { Fault } from "../lib/fault.ts";
import { Changes } from "../log/changes.ts";
import type { Applied, Leadership, Log } from "../log/log.ts";
import { type Position, parsePosition } from "../log/position.ts";
import type { Store, Writer } from "../store/store.ts";
import type { FeedAnswer } from "./feed-frames.ts";

/** Changes that an edge keeps for its followers; its floor is below them. */
const MAX_CHANGES = 100_000;
const TRIM_STEP = 1000;
/** Epoch before the first answer of an upstream. */
const NO_EPOCH = "0000000000";
const NO_HASH = new Uint8Array(32);

interface Epoch {
  n: number;
  id: string;
  forkSeq: number;
}

/** The log of an edge, and the steps by which the feed writes it. `also` runs in the same transaction. */
export class EdgeLog implements Log {
  readonly changes: Changes;
  readonly #store: Store;
  #epochs: Epoch[];
  #seq: number;
  #writtenSeq: number;
  #logTimeMs = 0;
  #sinceTrim = 0;

  /** Opens the log over the store of an edge, as the last run left it. */
  constructor(store: Store) {
    this.#store = store;
    store.transaction((tx) => {
      tx.run(
        "INSERT INTO head (one, seq, hash, log_time, floor, floor_hash) VALUES (1, 0, ?, 0, 0, ?) ON CONFLICT DO NOTHING",
        NO_HASH,
        NO_HASH,
      );
    });
    this.#epochs = readEpochs(store);
    this.#seq = store.reader.get<{ seq: number }>("SELECT seq FROM head")?.seq ?? 0;
    this.#writtenSeq = this.#seq;
    this.changes = new Changes(store.reader, this.position());
  }

  /** Seq of the position in the file. */
  get writtenSeq(): number {
    return this.#writtenSeq;
  }

  ready(): boolean {
    return this.#epochs.length > 0;
  }

  leadership(): Leadership {
    return { leading: false, server: "", term: 0 };
  }

  onLeadership(): () => void {
    return () => {};
  }

  onLeading(): () => void {
    return () => {};
  }

  barrier(): Promise<void> {
    return Promise.reject(noLog("wait for every acknowledged write"));
  }

  propose(): Promise<Applied> {
    return Promise.reject(noLog("order a write"));
  }

  position(): Position {
    return { epoch: this.#epoch, seq: this.#seq };
  }

  /** An edge proposes nothing: the log time of the last change. */
  timeMs(): number {
    return this.#logTimeMs;
  }

  head(): { seq: number; hash: Uint8Array } {
    return { seq: this.#seq, hash: NO_HASH };
  }

  digest(): undefined {
    return undefined;
  }

  digestAt(): undefined {
    return undefined;
  }

  hashAt(): undefined {
    return undefined;
  }

  positionAt(seq: number): Position {
    return { epoch: this.#epochs.findLast((epoch) => seq > epoch.forkSeq)?.id ?? this.#epoch, seq };
  }

  sameHistory(position: Position): boolean {
    const found = this.#epochs.findIndex((epoch) => epoch.id === position.epoch);
    return found >= 0 && this.#epochs.slice(found + 1).every((later) => position.seq <= later.forkSeq);
  }

  /** Does nothing: an edge applies no commands. */
  stopApply(): void {}

  async close(): Promise<void> {}

  /** Commits the changes of a feed answer. If there is nothing to write, only the position in memory moves. */
  apply(answer: FeedAnswer, also?: (tx: Writer) => void): void {
    const reached = parsePosition(answer.position).seq;
    if (answer.items.length > 0 || answer.epochs !== null || also !== undefined) {
      this.#store.transaction((tx) => {
        writeEpochs(tx, answer.epochs);
        this.#writeChanges(tx, answer);
        also?.(tx);
        this.#writeHead(tx, reached);
      });
      this.#writtenSeq = reached;
      if (answer.epochs !== null) this.#epochs = readEpochs(this.#store);
    }
    this.#seq = reached;
    const now = this.position();
    const published = this.changes.head();
    if (published.seq !== now.seq || published.epoch !== now.epoch) this.changes.publish(answer.items, now);
  }

  /** Jumps to the position of a feed answer without the changes before it: followers below get `below_floor`. */
  skipTo(answer: FeedAnswer, also: (tx: Writer) => void): void {
    const reached = parsePosition(answer.position).seq;
    this.#store.transaction((tx) => {
      writeEpochs(tx, answer.epochs);
      raiseFloor(tx, reached);
      also(tx);
      this.#writeHead(tx, reached);
    });
    this.#seq = reached;
    this.#writtenSeq = reached;
    this.#epochs = readEpochs(this.#store);
    this.changes.restart(this.position());
  }

  /** Removes everything: the fleet has another history, or this node is no member. */
  reset(also: (tx: Writer) => void): void {
    this.#store.transaction((tx) => {
      tx.run("DELETE FROM epochs");
      tx.run("DELETE FROM changes");
      tx.run("UPDATE head SET seq = 0, floor = 0, log_time = 0 WHERE one = 1");
      also(tx);
    });
    this.#seq = 0;
    this.#writtenSeq = 0;
    this.#epochs = [];
    this.#logTimeMs = 0;
    this.changes.fork(this.position());
  }

  /** Writes the position that so far is only in memory. */
  writePosition(also: (tx: Writer) => void): void {
    this.#store.transaction((tx) => {
      also(tx);
      this.#writeHead(tx, this.#seq);
    });
    this.#writtenSeq = this.#seq;
  }

  /** Id of the newest epoch. */
  get #epoch(): string {
    return this.#epochs.at(-1)?.id ?? NO_EPOCH;
  }

  #writeHead(tx: Writer, reached: number): void {
    tx.run("UPDATE head SET seq = ?, log_time = MAX(log_time, ?) WHERE one = 1", reached, this.#logTimeMs);
  }

  #writeChanges(tx: Writer, { items }: FeedAnswer): void {
    for (const item of items) {
      tx.run(
        "INSERT OR REPLACE INTO changes (seq, epoch, log_time, caller, via, client, agent, operation, target, version, content_hash, outcome, hash) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
        item.seq,
        item.epoch,
        item.timeMs,
        item.caller,
        item.via,
        item.client ?? "",
        item.agent ?? "",
        item.operation,
        item.target,
        item.version,
        item.contentHash,
        item.outcome,
        NO_HASH,
      );
      this.#logTimeMs = Math.max(this.#logTimeMs, item.timeMs);
    }
    this.#sinceTrim += items.length;
    if (this.#sinceTrim < TRIM_STEP) return;
    this.#sinceTrim = 0;
    const oldest = tx.get<{ seq: number }>("SELECT seq FROM changes ORDER BY seq DESC LIMIT 1 OFFSET ?", MAX_CHANGES);
    if (oldest !== undefined) raiseFloor(tx, oldest.seq);
  }
}

function writeEpochs(tx: Writer, found: FeedAnswer["epochs"]): void {
  if (found === null) return;
  tx.run("DELETE FROM epochs");
  for (const epoch of found) {
    tx.run(
      "INSERT INTO epochs (n, id, parent, fork_seq, fork_hash) VALUES (?,?,?,?,?)",
      epoch.n,
      epoch.id,
      epoch.parent,
      epoch.forkSeq,
      NO_HASH,
    );
  }
}

/** Removes the changes up to `seq`, which is the floor from then on. */
function raiseFloor(tx: Writer, seq: number): void {
  tx.run("DELETE FROM changes WHERE seq <= ?", seq);
  tx.run("UPDATE head SET floor = MAX(floor, ?) WHERE one = 1", seq);
}

function readEpochs(store: Store): Epoch[] {
  return store.reader.all<Epoch>("SELECT n, id, fork_seq AS forkSeq FROM epochs ORDER BY n");
}

function noLog(what: string): Fault {
  return new Fault("unavailable", `An edge keeps a cache and cannot ${what}`, {
    hint: "Ask a full node of the fleet.",
    facts: { outcome: "not_sent" },
    details: { retryAfterSeconds: 1 },
  });
}
