// Compares each beat with this node's own state (replication.md 3, 33). Remembers heads that agree and its own, reports
// members that differ, names those that most members contradict, and stops a node that is itself the one that is wrong.

import { buildInfo } from "../config/build-info.ts";
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
import { mayGetCopy } from "./rejoin.ts";

export interface HistoryWatchOptions {
  dataDir: string;
  log: Log;
  members: Members;
  /** StableNodeID of this node, and of the leader if one is known. */
  self: () => string;
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
  #givesWay = false;

  constructor(options: HistoryWatchOptions) {
    this.#options = options;
    this.#heads = new AcknowledgedHeads(options.dataDir);
  }

  /** Begins to note this node's own head. */
  start(): void {
    this.#timer = setInterval(() => this.#noteOwn(), NOTE_MS).unref();
  }

  /** Notes the head a last time, but none that is given up: it would count as one that was cut. */
  stop(): void {
    clearInterval(this.#timer);
    if (!this.#givesWay) this.#noteOwn();
  }

  take(member: Member, received: ReceivedBeat): void {
    const { log } = this.#options;
    const facts = {
      version: buildInfo.version,
      epoch: log.position().epoch,
      hashAt: (seq: number) => hex(log.hashAt(seq)),
      count: log.digest()?.count ?? 0,
      digestAt: (count: number) => log.digestAt(count),
    };
    this.#histories.take(member, received, facts);
    if (compareHistory(received, facts) === "same") this.#remember(member, received);
  }

  /** Returns up to which count of commands each member agrees with this node. */
  agreed(): { node: string; count: number }[] {
    return this.#histories.agreed();
  }

  /**
   * Judges by what is known now: raises or clears the condition `two_histories`, and stops this node where it has to
   * give way. Returns the raft servers to refuse, those that most members contradict.
   */
  update(): string[] {
    const { conditions, members, self, leaderNode, copies } = this.#options;
    const list = members.list();
    const { refused, giveWay } = this.#histories.judge({ self: self(), leaderNode: leaderNode(), members: list });
    const differing = giveWay ?? this.#histories.text(list, refused) ?? (copies() || undefined);
    if (differing === undefined) conditions.clear("two_histories");
    else conditions.raise("two_histories", differing);
    if (giveWay !== undefined) this.#giveWay(giveWay);
    return refused.map(({ server }) => server);
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

  /** Where no other member could send a copy, this node goes on: its state may exist nowhere else. */
  #giveWay(why: string): void {
    if (this.#givesWay || !mayGetCopy(this.#options.dataDir)) return;
    this.#givesWay = true;
    this.#options.log.stopApply(
      new Fault("data_corrupt", `The state of this node is not that of its fleet: ${why}`, {
        hint: "Start it again: it keeps what it holds under aside/ in the data folder, and gets a copy of its fleet's state.",
        facts: { quarantine: "two_histories" },
      }),
    );
  }
}

/** Returns a hash of the chain as beats carry it. */
export function hex(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString("hex");
}
