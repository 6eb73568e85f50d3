// Compares each beat with this node's own chain of changes (replication.md 3). Remembers heads that agree and its own,
// reports members that differ, and stops a node whose history is not that of its fleet.

import {
  AcknowledgedHeads,
  compareHistory,
  Histories,
  type Member,
  type Members,
  type ReceivedBeat,
} from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import type { Log } from "../log/log.ts";
import type { Conditions } from "../observe/conditions.ts";
import type { LogLine } from "../observe/logging.ts";

export interface HistoryWatchOptions {
  dataDir: string;
  log: Log;
  members: Members;
  leaderNode: () => string | undefined;
  /** Describes devices that have this fleet's id and are not members; "" if there are none. */
  copies: () => string;
  conditions: Conditions;
  line: LogLine;
  nowMs: () => number;
}

/** How often this node notes its own head; a clean stop notes it too. */
const NOTE_MS = 10 * 60_000;

export class HistoryWatch {
  readonly #options: HistoryWatchOptions;
  readonly #histories = new Histories();
  readonly #heads: AcknowledgedHeads;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: HistoryWatchOptions) {
    this.#options = options;
    this.#heads = new AcknowledgedHeads(options.dataDir);
  }

  /** Begins to note this node's own head. */
  start(): void {
    this.#timer = setInterval(() => this.#noteOwn(), NOTE_MS).unref();
  }

  /** Notes the head a last time. */
  stop(): void {
    clearInterval(this.#timer);
    this.#noteOwn();
  }

  take(member: Member, received: ReceivedBeat): void {
    const { log, members, leaderNode } = this.#options;
    const facts = {
      epoch: log.position().epoch,
      leading: log.leadership().leading,
      leaderNode: leaderNode(),
      hashAt: (seq: number) => hex(log.hashAt(seq)),
      digestAt: (count: number) => log.digestAt(count),
      members: members.list(),
    };
    const why = this.#histories.take(member, received, facts);
    if (why !== undefined) this.#stop(why);
    else if (compareHistory(received, facts) === "same") this.#remember(member, received);
  }

  /** Raises or clears the condition `two_histories`. */
  updateCondition(): void {
    const { conditions, members, copies } = this.#options;
    const differing = this.#histories.text(members.list()) ?? (copies() || undefined);
    if (differing === undefined) conditions.clear("two_histories");
    else conditions.raise("two_histories", differing);
  }

  #noteOwn(): void {
    const { log, nowMs } = this.#options;
    const { seq, hash } = log.head();
    const { epoch } = log.position();
    const last = this.#heads.own();
    if (seq === 0 || (last?.epoch === epoch && last.seq === seq)) return;
    // A head that is missing here was cut: it stays, so that audit_verify can name it.
    const continues = last?.epoch === epoch && last.seq < seq && hex(log.hashAt(last.seq)) === last.hash;
    this.#keep(() => this.#heads.note({ epoch, seq, hash: hex(hash) ?? "", at_ms: nowMs() }, continues));
  }

  #keep(write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#options.line("warning", `the heads of histories cannot be kept: ${String(error)}`);
    }
  }

  #remember({ node, name }: Member, { beat: { epoch, seq, hash } }: ReceivedBeat): void {
    this.#keep(() => this.#heads.take({ node, name, epoch, seq, hash, at_ms: this.#options.nowMs() }));
  }

  #stop(why: string): void {
    this.#options.conditions.raise("two_histories", why);
    this.#options.log.stopApply(
      new Fault("data_corrupt", `This node's history is not its fleet's: ${why}`, {
        hint: "Keep a copy of its data folder, then start it with --join auto --discard-local.",
        facts: { quarantine: "two_histories" },
      }),
    );
  }
}

/** Returns a hash of the chain as beats carry it. */
export function hex(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString("hex");
}
