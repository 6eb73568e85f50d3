// The product's engine: entries go to the Go half over raft.sock and come back committed; the entries that arrive
// together are applied in one SQLite transaction. Membership is decided elsewhere; `start` gets the path of a socket.

import { Fault } from "../../../lib/fault.ts";
import { pause } from "../../../lib/pause.ts";
import { reasonOf } from "../../../lib/reason-of.ts";
import { isDamaged, isStorageFull, isSyncFailure } from "../../../store/store.ts";
import { applyCommands, type BatchResult, type BatchState } from "../../apply-batch.ts";
import { Changes } from "../../changes.ts";
import { Duties, type Duty } from "../../duties.ts";
import { type DecodedEntry, decodeEntry } from "../../entry.ts";
import { type History, hashAt, openHistory } from "../../history.ts";
import type { Applied, Command, Leadership, Log } from "../../log.ts";
import type { Position } from "../../position.ts";
import { notePurge } from "../../purge-state.ts";
import { RecentDigests, type RunningDigest } from "../../running-digest.ts";
import { stopping } from "../../waiting.ts";
import { appliedState, markStore, writeApplied } from "./applied-state.ts";
import { Barriers } from "./barriers.ts";
import { Erasure } from "./erasure.ts";
import { applyFault, linkLost, memberFault, missingEntries, notStarted, refusedProposal } from "./faults.ts";
import {
  type AppliedState,
  aliveFrame,
  answerFrame,
  appliedFrame,
  type CommittedEntry,
  eraseFrame,
  helloFrame,
  proposeFrame,
  type RaftFrame,
  type RefusedReason,
  type StoreAsk,
} from "./frames.ts";
import { installStore } from "./install.ts";
import type { RaftOptions, RaftStart } from "./options.ts";
import { Proposals } from "./proposals.ts";
import { connectRaftSocket, type RaftSocket } from "./socket.ts";

export type { RaftOptions } from "./options.ts";

/** A write that is not applied here after this time is rejected as unknown (replication.md 10). */
const UNKNOWN_AFTER_MS = 30_000;
/** How long `close` waits for writes in flight. */
const CLOSE_MS = 2_000;
/**
 * How often the Go half gets a sign that the event loop turns: half of the shortest heartbeat timeout (replication.md
 * 23).
 */
const ALIVE_MS = 200;
/** Wait before a new leader repeats a failed barrier. */
const TAKE_OVER_MS = 100;

/** An entry and what applying it returned. */
interface AppliedEntry {
  decoded: DecodedEntry;
  result: BatchResult;
}

/** A log that several nodes share. Readable at once; writable after `start`, on the leader. */
export class RaftLog implements Log {
  readonly changes: Changes;
  readonly #options: RaftOptions;
  readonly #duties = new Duties();
  readonly #listeners = new Set<(now: Leadership) => void>();
  readonly #barriers: Barriers;
  readonly #proposals: Proposals;
  readonly #erasure: Erasure;
  readonly #started = Promise.withResolvers<void>();
  #history: History;
  #state: BatchState;
  #digests: RecentDigests;
  /** The last applied entry. Barriers count, though they leave no trace in the store. */
  #applied: AppliedState;
  #leadership: Leadership = { leading: false, server: "", term: 0 };
  #member: { start: RaftStart; socket: RaftSocket } | undefined;
  #alive: ReturnType<typeof setInterval> | undefined;
  #server = "";
  #ticket = 0;
  #newerCopy: string | undefined;
  /** Takes no more writes. */
  #closed = false;
  /** Applies nothing more either. */
  #ended = false;

  /** Opens the log over its store. Faults: `data_newer`, `data_corrupt`. */
  constructor(options: RaftOptions) {
    const { store, stampMs, unknownAfterMs = UNKNOWN_AFTER_MS } = options;
    this.#options = options;
    this.#history = openHistory(store);
    this.#state = this.#history;
    this.#digests = new RecentDigests(this.#state.digest);
    this.#applied = appliedState(store.reader);
    const { epoch, seq } = this.#history;
    this.changes = new Changes(store.reader, { epoch, seq }, options.apply.apart);
    this.#started.promise.catch(() => {});
    this.#barriers = new Barriers({
      send: (ticket) => this.#send(proposeFrame(ticket, new Uint8Array())),
      afterMs: unknownAfterMs,
    });
    this.#proposals = new Proposals({
      send: (ticket, entry) => this.#send(proposeFrame(ticket, entry)),
      newTicket: () => this.#newTicket(),
      stampMs,
      level: () => this.#state.level,
      positionAt: (seq) => this.positionAt(seq),
      unknownAfterMs,
    });
    this.#erasure = new Erasure({ ...options, ask: (index) => this.#send(eraseFrame(index)) });
  }

  /**
   * Connects to the Go half, which starts the member. Resolves when it runs, before there is a leader. Call it once.
   */
  async start(start: RaftStart): Promise<void> {
    if (this.#member !== undefined || this.#ended) throw new Error("a log is started once");
    const socket = await connectRaftSocket({
      path: start.socketPath,
      onFrame: (frame) => {
        try {
          this.#receive(frame);
        } catch (error) {
          this.#fail(error);
        }
      },
      onEnd: (reason) => this.#fail(reason),
    });
    if (this.#ended) {
      socket.close();
      throw stopping();
    }
    this.#member = { start, socket };
    this.#send(helloFrame(this.#applied));
    this.#alive = setInterval(() => this.#send(aliveFrame(this.#options.successor?.() ?? "")), ALIVE_MS);
    const stop = () => this.#fail(start.signal.reason);
    start.signal.addEventListener("abort", stop, { once: true });
    if (start.signal.aborted) stop();
    await this.#started.promise.finally(() => start.signal.removeEventListener("abort", stop));
  }

  /** Returns this member's server id; "" until it runs. */
  server(): string {
    return this.#server;
  }

  /** Returns why this build cannot install the newest copy that a peer sent; undefined where it can. */
  newerCopy(): string | undefined {
    return this.#newerCopy;
  }

  ready(): boolean {
    return this.#applied.server !== "";
  }

  leadership(): Leadership {
    return this.#leadership;
  }

  onLeadership(listener: (now: Leadership) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onLeading(duty: Duty): () => void {
    return this.#duties.on(duty);
  }

  propose(command: Command): Promise<Applied> {
    const refusal = this.#refusal();
    return refusal === undefined ? this.#proposals.propose(command) : Promise.reject(refusal);
  }

  barrier(): Promise<void> {
    const refusal = this.#refusal();
    return refusal === undefined ? this.#barriers.wait(() => this.#newTicket()) : Promise.reject(refusal);
  }

  position(): Position {
    return { epoch: this.#state.epoch, seq: this.#state.seq };
  }

  timeMs(): number {
    return Math.max(this.#state.logTimeMs, this.#options.stampMs());
  }

  head(): { seq: number; hash: Uint8Array } {
    return { seq: this.#state.seq, hash: this.#state.hash };
  }

  hashAt(seq: number): Uint8Array | undefined {
    return seq === this.#state.seq ? this.#state.hash : hashAt(this.#options.store.reader, seq);
  }

  digest(): RunningDigest | undefined {
    return this.#digests.newest();
  }

  digestAt(count: number): string | undefined {
    return this.#digests.at(count);
  }

  positionAt(seq: number): Position {
    return this.#history.positionAt(seq);
  }

  sameHistory(position: Position): boolean {
    return this.#history.sameHistory(position);
  }

  stopApply(reason: Fault): void {
    this.#fail(reason);
  }

  /** Waits up to 2 s for the writes in flight, then ends. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#duties.end();
    const until = performance.now() + CLOSE_MS;
    while (!this.#ended && this.#proposals.open > 0 && performance.now() < until) await pause(5);
    if (!this.#ended) this.#end();
    this.#started.reject(stopping());
  }

  /** Returns why nothing can be proposed now. */
  #refusal(): Fault | undefined {
    if (this.#closed) return stopping();
    return this.#server === "" ? notStarted() : undefined;
  }

  #send(frame: Uint8Array): void {
    this.#member?.socket.send(frame);
  }

  #newTicket(): number {
    this.#ticket += 1;
    return this.#ticket;
  }

  #receive(frame: RaftFrame): void {
    switch (frame.type) {
      case "welcome":
        this.#server = frame.server;
        this.#erasure.start();
        this.#started.resolve();
        break;
      case "committed":
        this.#applyCommitted(frame.previous, frame.entries);
        break;
      case "proposed":
        if (!this.#barriers.proposed(frame.ticket, frame.index, this.#applied.index))
          this.#proposals.answered(frame.ticket);
        break;
      case "refused":
        this.#refused(frame.ticket, frame.reason);
        break;
      case "leadership":
        this.#setLeadership({ leading: frame.leading, server: frame.leader, term: frame.term });
        break;
      case "ask":
        void this.#serve(frame.request, frame.ask);
        break;
      case "erased":
        this.#erasure.answered(frame.index, frame.reason);
        break;
      case "fatal":
        throw memberFault(frame.code, frame.message);
    }
  }

  #applyCommitted(previous: number, committed: readonly CommittedEntry[]): void {
    if (previous > this.#applied.index) throw missingEntries(this.#applied.index, previous);
    const fresh = committed.filter(({ index }) => index > this.#applied.index);
    const last = fresh.at(-1);
    if (last === undefined) return;
    const done = this.#applyInOneTransaction(fresh);
    this.#state = done.at(-1)?.result.state ?? this.#state;
    this.#applied = { ...this.#applied, index: last.index, term: last.term };
    this.#send(appliedFrame(last.index));
    for (const { decoded, result } of done) {
      this.#digests.add(result.state.digest);
      this.#proposals.applied(decoded.header, result);
    }
    this.#barriers.applied(last.index);
    this.changes.publish(done.flatMap(({ result }) => result.changes));
    if (done.some(({ result }) => result.purgedSeq > 0)) this.#erasure.begin();
  }

  /** Applies entries in one transaction together with the index of the last: a crash leaves both or neither. */
  #applyInOneTransaction(fresh: readonly CommittedEntry[]): AppliedEntry[] {
    const { store, apply } = this.#options;
    const done: AppliedEntry[] = [];
    let at = fresh[0]?.index ?? 0;
    try {
      const commands = fresh
        .filter(({ bytes }) => bytes.byteLength > 0)
        .map((entry) => {
          at = entry.index;
          return { ...entry, decoded: decodeEntry(entry.bytes) };
        });
      for (const { decoded } of commands) this.#proposals.committed(decoded.header);
      const lastCommand = commands.at(-1);
      if (lastCommand === undefined) return done;
      store.transaction((tx) => {
        let before = this.#state;
        for (const { index, decoded } of commands) {
          at = index;
          const result = applyCommands(store, tx, apply, before, decoded);
          before = result.state;
          done.push({ decoded, result });
          if (result.purgedSeq > 0) notePurge(tx, result.purgedSeq, index);
        }
        writeApplied(tx, lastCommand.index, lastCommand.term);
      });
      return done;
    } catch (error) {
      throw applyFault(error, `Entry ${at} of the log`);
    }
  }

  #refused(ticket: number, reason: RefusedReason): void {
    const fault = refusedProposal(reason, this.#leadership.server);
    if (this.#barriers.refused(ticket, fault)) return;
    // What may still be committed keeps waiting for its entry: losing the leadership is not a failure (replication.md
    // 9).
    if (reason === "unknown") this.#proposals.answered(ticket);
    else this.#proposals.refuse(ticket, fault);
  }

  #setLeadership(now: Leadership): void {
    const before = this.#leadership;
    this.#leadership = now;
    if (!now.leading || now.term !== before.term) this.#duties.end();
    if (now.leading && !(before.leading && before.term === now.term)) void this.#takeOver(now.term);
    for (const listener of [...this.#listeners]) listener(now);
  }

  /** Begins the duties once an entry of this term is applied here. */
  async #takeOver(term: number): Promise<void> {
    const leads = () => !this.#closed && this.#leadership.leading && this.#leadership.term === term;
    while (leads()) {
      try {
        await this.#barriers.wait(() => this.#newTicket());
        if (leads()) this.#duties.begin(term);
        return;
      } catch {
        await pause(TAKE_OVER_MS);
      }
    }
  }

  async #serve(request: number, ask: StoreAsk): Promise<void> {
    try {
      this.#send(answerFrame(request, { ok: await this.#doAsk(ask) }));
    } catch (error) {
      if (this.#endsMember(ask, error)) this.#fail(applyFault(error, `What the Go half asked for (${ask.do})`));
      else this.#send(answerFrame(request, { error: reasonOf(error) }));
    }
  }

  /**
   * Reports whether the member must end instead of answering that nothing was done. A copy that cannot be trusted, or
   * that has another history, is refused: one leader alone does not say which of the two is wrong (replication.md 33).
   */
  #endsMember(ask: StoreAsk, error: unknown): boolean {
    if (error instanceof Fault) return false;
    return isSyncFailure(error) || (ask.do === "mark" && (isStorageFull(error) || isDamaged(error)));
  }

  #doAsk(ask: StoreAsk): object | Promise<object> {
    const { store } = this.#options;
    switch (ask.do) {
      case "copy":
        return store.copyTo(ask.path).then(() => ({}));
      case "mark": {
        const marked = markStore(store, ask);
        const stored = appliedState(store.reader);
        // Entries without commands are applied and not stored: a read that waits for one must not wait again.
        this.#applied = stored.index < this.#applied.index ? { ...this.#applied, server: stored.server } : stored;
        return marked;
      }
      case "install":
        return this.#install(ask);
    }
  }

  #install(ask: Extract<StoreAsk, { do: "install" }>): object {
    const { store, cleanCopy = () => {}, onJoined } = this.#options;
    if (this.#member === undefined) throw new Error("an install before the start");
    const { fleet, epoch } = this.#member.start;
    const wasReady = this.ready();
    try {
      installStore(store, ask, { fleet, epoch, clean: cleanCopy });
      this.#newerCopy = undefined;
    } catch (error) {
      this.#newerCopy = error instanceof Fault && error.code === "data_newer" ? error.message : undefined;
      throw error;
    }
    try {
      this.#continueFromCopy();
    } catch (error) {
      // The copy is the store already: to answer that nothing has changed would be wrong.
      this.#fail(applyFault(error, `The copy at entry ${ask.index}`));
      throw error;
    }
    if (!wasReady) onJoined?.();
    return { index: this.#applied.index, term: this.#applied.term };
  }

  #continueFromCopy(): void {
    const { store } = this.#options;
    // It cannot be known whether the copy holds the writes in flight.
    this.#proposals.markUncertain();
    this.#history = openHistory(store);
    this.#state = this.#history;
    this.#digests = new RecentDigests(this.#state.digest);
    this.#applied = appliedState(store.reader);
    this.changes.restart({ epoch: this.#state.epoch, seq: this.#state.seq });
    this.#barriers.applied(this.#applied.index);
    this.#erasure.begin();
  }

  #fail(error: unknown): void {
    if (this.#ended) return;
    const reason = error instanceof Fault ? error : linkLost(error);
    this.#end();
    this.#started.reject(reason);
    this.#options.onFatal(reason);
  }

  #end(): void {
    this.#ended = true;
    this.#closed = true;
    clearInterval(this.#alive);
    this.#erasure.stop();
    this.#setLeadership({ leading: false, server: "", term: this.#leadership.term });
    this.#member?.socket.close();
    this.#proposals.end(stopping);
    this.#barriers.end(stopping());
    this.#listeners.clear();
  }
}
