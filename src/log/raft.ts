// The engine with consensus: entries go to the Go half over raft.sock and come back committed; each batch that comes is one SQLite transaction here.
// What a member is and who its peers are is decided elsewhere; this file gets the path of a socket.

import { randomBytes } from "node:crypto";
import type { Store } from "../store/store.ts";
import { applyCommands, type BatchResult, type BatchState } from "./apply-batch.ts";
import { Changes } from "./changes.ts";
import { type DecodedEntry, decodeEntry, encodeEntry } from "./entry.ts";
import { openHistory } from "./history.ts";
import type { Apply, Log } from "./log.ts";
import { Barriers } from "./raft-barriers.ts";
import { lost, startFault, unknownOutcome } from "./raft-faults.ts";
import {
  answerFrame,
  appliedFrame,
  type CommittedEntry,
  helloFrame,
  type Leadership,
  proposeFrame,
  type RaftFrame,
  type StoreAsk,
} from "./raft-frames.ts";
import { connectRaftSocket, type RaftSocket } from "./raft-socket.ts";
import { installStore, markStore, placeOf, writeApplied } from "./raft-store.ts";
import { answer, stopping, type Waiting, WaitingCommands } from "./waiting.ts";

const FLEET_LEVEL = 1;
/** A write that was not applied here after so long is answered as unknown (replication.md 10). */
const UNKNOWN_AFTER_MS = 30_000;
/** How long `close` waits for writes that are on their way. */
const CLOSE_MS = 2_000;
/** Above this time from proposal to apply, gathering alone no longer fills the line, and more entries are in flight (replication.md 24). */
const FAR_MS = 20;
const FAR_WINDOW = 16;

export interface RaftOptions {
  store: Store;
  apply: Apply;
  /** Path of raft.sock, where the Go half listens. */
  socketPath: string;
  /** Wall clock in ms. */
  nowMs: () => number;
  /** Called once when log or store can no longer be trusted or the Go half is gone; the process must end. */
  onFatal: (error: unknown) => void;
  /** Called after each change of who leads. */
  onLeadership?: (leadership: Leadership) => void;
  /** Ends the wait for the start, which may include the install of a whole store. */
  signal: AbortSignal;
  /** For tests: ms after which an outcome counts as unknown, instead of 30 s. */
  unknownAfterMs?: number;
}

/** A log that several nodes share. */
export interface RaftLog extends Log {
  /** This member's server id. */
  readonly server: string;
  leadership(): Leadership;
  /** Resolves when everything that was acknowledged anywhere before the call is applied here; only a leader can (replication.md 12). */
  barrier(): Promise<void>;
}

interface InFlight {
  batch: Waiting[];
  sentMs: number;
  timer: ReturnType<typeof setTimeout>;
}

/** Connects to the Go half, which starts the member; resolves when it runs, before there is a leader. */
export async function openRaftLog(options: RaftOptions): Promise<RaftLog> {
  const { store, apply, nowMs, onFatal, signal, unknownAfterMs = UNKNOWN_AFTER_MS } = options;
  let history = openHistory(store);
  let state: BatchState = history;
  const changes = new Changes(store.reader, { epoch: history.epoch, seq: history.seq });
  const origin = randomBytes(16).toString("hex");
  const waiting = new WaitingCommands();
  /** Entries whose outcome is not known here yet, by ticket. */
  const entries = new Map<number, InFlight>();
  /** Tickets that the Go half has not answered; they fill the window. */
  const unanswered = new Set<number>();
  let leadership: Leadership = { leading: false, leader: "", term: 0 };
  let applied = placeOf(store.reader).index;
  let ticket = 0;
  let commitMs = 0;
  let scheduled = false;
  let closed = false;
  let ended = false;
  const started = Promise.withResolvers<string>();
  started.promise.catch(() => {});

  let socket: RaftSocket | undefined;
  const send = (frame: Uint8Array) => socket?.send(frame);
  const barriers = new Barriers({ send: (id) => send(proposeFrame(id, new Uint8Array())), afterMs: unknownAfterMs });

  socket = await connectRaftSocket({
    path: options.socketPath,
    onFrame: (frame) => {
      try {
        take(frame);
      } catch (error) {
        fail(error);
      }
    },
    onEnd: fail,
  });

  function take(frame: RaftFrame): void {
    switch (frame.type) {
      case "welcome":
        started.resolve(frame.server);
        break;
      case "committed":
        applyCommitted(frame.entries);
        break;
      case "proposed":
        proposed(frame.ticket, frame.index);
        break;
      case "refused":
        refused(frame.ticket, frame.reason);
        break;
      case "leadership":
        leadership = { leading: frame.leading, leader: frame.leader, term: frame.term };
        options.onLeadership?.(leadership);
        break;
      case "ask":
        void serve(frame.request, frame.ask);
        break;
      case "fatal":
        throw startFault(frame.code, frame.message);
    }
  }

  /** One transaction for all of them, with the index of the last: a crash leaves both or neither. */
  function applyCommitted(committed: readonly CommittedEntry[]): void {
    const fresh = committed.filter(({ index }) => index > applied);
    const last = fresh.at(-1);
    if (last === undefined) return;
    const commands = fresh
      .filter(({ bytes }) => bytes.byteLength > 0)
      .map((entry) => ({ ...entry, decoded: decodeEntry(entry.bytes) }));
    const lastCommand = commands.at(-1);
    const done: { decoded: DecodedEntry; result: BatchResult }[] = [];
    if (lastCommand !== undefined) {
      store.transaction((tx) => {
        let at = state;
        for (const { decoded } of commands) {
          const result = applyCommands(store, tx, apply, at, decoded);
          at = result.state;
          done.push({ decoded, result });
        }
        writeApplied(tx, lastCommand.index, lastCommand.term);
      });
    }
    state = done.at(-1)?.result.state ?? state;
    applied = last.index;
    send(appliedFrame(applied));
    for (const { decoded, result } of done) resolveOwn(decoded, result);
    barriers.applied(applied);
    changes.publish(done.flatMap(({ result }) => result.changes));
  }

  function resolveOwn({ header }: DecodedEntry, result: BatchResult): void {
    const own = header.origin === origin ? forget(header.ticket) : undefined;
    if (own === undefined) return;
    measure(own);
    answer(own.batch, result.outcomes, result.state.epoch);
  }

  function forget(id: number): InFlight | undefined {
    const found = entries.get(id);
    entries.delete(id);
    clearTimeout(found?.timer);
    return found;
  }

  function proposed(id: number, index: number): void {
    if (barriers.proposed(id, index, applied)) return;
    unanswered.delete(id);
    schedule();
  }

  function measure(found: InFlight): void {
    commitMs += (performance.now() - found.sentMs - commitMs) / 8;
  }

  function refused(id: number, reason: Parameters<typeof lost>[0]): void {
    if (barriers.refused(id, lost(reason, leadership.leader))) return;
    unanswered.delete(id);
    // What may still be committed keeps waiting for its entry: losing the leadership is no failure (replication.md 9).
    if (reason !== "unknown") for (const item of forget(id)?.batch ?? []) item.reject(lost(reason, leadership.leader));
    schedule();
  }

  async function serve(request: number, ask: StoreAsk): Promise<void> {
    try {
      send(answerFrame(request, { ok: await doAsk(ask) }));
    } catch (error) {
      send(answerFrame(request, { error: error instanceof Error ? error.message : String(error) }));
    }
  }

  function doAsk(ask: StoreAsk): object | Promise<object> {
    if (ask.do === "mark") return markStore(store, ask);
    if (ask.do === "copy") return store.copyTo(ask.path).then(() => ({}));
    const place = installStore(store, ask);
    // Whether the copy holds what was on its way cannot be told.
    for (const id of [...entries.keys()]) for (const item of forget(id)?.batch ?? []) item.reject(unknownOutcome());
    unanswered.clear();
    history = openHistory(store);
    state = history;
    applied = place.index;
    changes.restart({ epoch: state.epoch, seq: state.seq });
    barriers.applied(applied);
    return place;
  }

  function pump(): void {
    scheduled = false;
    const window = commitMs > FAR_MS ? FAR_WINDOW : 1;
    while (!ended && waiting.length > 0 && unanswered.size < window) {
      const batch = waiting.takeBatch();
      const id = nextTicket();
      const header = { level: FLEET_LEVEL, origin, ticket: id, stampMs: nowMs() };
      const bytes = encodeEntry(
        header,
        batch.map((item) => item.packed),
      );
      const timer = setTimeout(() => {
        unanswered.delete(id);
        for (const item of forget(id)?.batch ?? []) item.reject(unknownOutcome());
        schedule();
      }, unknownAfterMs);
      entries.set(id, { batch, sentMs: performance.now(), timer });
      unanswered.add(id);
      send(proposeFrame(id, bytes));
    }
  }

  function nextTicket(): number {
    ticket += 1;
    return ticket;
  }

  function schedule(): void {
    if (scheduled || waiting.length === 0) return;
    scheduled = true;
    setImmediate(pump);
  }

  function fail(error: unknown): void {
    if (ended) return;
    end();
    started.reject(error);
    onFatal(error);
  }

  /** Nothing more comes: what is on its way stays unknown, what only waits was not written. */
  function end(): void {
    ended = true;
    closed = true;
    socket?.close();
    for (const id of [...entries.keys()]) for (const item of forget(id)?.batch ?? []) item.reject(unknownOutcome());
    waiting.rejectAll(stopping);
    barriers.end(stopping());
  }

  send(helloFrame(placeOf(store.reader)));
  const stop = () => fail(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  const server = await started.promise.finally(() => signal.removeEventListener("abort", stop));

  return {
    server,
    changes,
    propose: (command) => {
      if (closed) return Promise.reject(stopping());
      const outcome = waiting.add(command);
      schedule();
      return outcome;
    },
    leadership: () => leadership,
    barrier: () => (closed ? Promise.reject(stopping()) : barriers.wait(nextTicket)),
    position: () => ({ epoch: state.epoch, seq: state.seq }),
    head: () => ({ seq: state.seq, hash: state.hash }),
    positionAt: (seq) => history.positionAt(seq),
    sameHistory: (position) => history.sameHistory(position),
    close: async () => {
      closed = true;
      const until = performance.now() + CLOSE_MS;
      while (!ended && waiting.length + entries.size > 0 && performance.now() < until) await Bun.sleep(5);
      if (!ended) end();
    },
  };
}
