// The engine of the product: entries go to the Go half over raft.sock and come back committed; each batch that comes is one SQLite transaction here.
// What a member is and who its peers are is decided elsewhere; `start` gets the path of a socket.

import { Fault } from "../../../lib/fault.ts";
import type { Store, Writer } from "../../../store/store.ts";
import { applyCommands, type BatchResult, type BatchState } from "../../apply-batch.ts";
import { Changes } from "../../changes.ts";
import { Duties } from "../../duties.ts";
import { type DecodedEntry, decodeEntry } from "../../entry.ts";
import { hashAt, openHistory } from "../../history.ts";
import type { Apply, Leadership, Log } from "../../log.ts";
import { stopping } from "../../waiting.ts";
import { Barriers } from "./barriers.ts";
import { applyFault, linkLost, lost, memberFault, notStarted } from "./faults.ts";
import { Flights } from "./flights.ts";
import {
  answerFrame,
  appliedFrame,
  type CommittedEntry,
  helloFrame,
  proposeFrame,
  type RaftFrame,
  type StoreAsk,
} from "./frames.ts";
import { installStore } from "./install.ts";
import { connectRaftSocket, type RaftSocket } from "./socket.ts";
import { markStore, placeOf, writeApplied } from "./store.ts";

/** A write that was not applied here after so long is answered as unknown (replication.md 10). */
const UNKNOWN_AFTER_MS = 30_000;
/** How long `close` waits for writes that are on their way. */
const CLOSE_MS = 2_000;
/** After a barrier of a new leader failed, the next try. */
const TAKE_OVER_MS = 100;

export interface RaftOptions {
  store: Store;
  apply: Apply;
  /** Time for entries, in ms (`stampClock`). */
  stampMs: () => number;
  /** Called once when log or store can no longer be trusted or the Go half is gone; the process must end. */
  onFatal: (reason: Fault) => void;
  /** Removes what is a peer's own from its copy, before it becomes this store. */
  cleanCopy?: (tx: Writer) => void;
  /** Keeps what only this store has, the changes after a seq, before it is given up; answers where it is. */
  archive?: (afterSeq: number) => string;
  /** Called when the fleet's store came in place of one that was never in a fleet. */
  onJoined?: () => void;
  /** For tests: ms after which an outcome counts as unknown, instead of 30 s. */
  unknownAfterMs?: number;
}

/** What the Go half opened. */
export interface RaftStart {
  /** Path of raft.sock, where the Go half listens. */
  socketPath: string;
  /** Fleet id and epoch that this member is of; a copy of another one is refused. */
  fleet: string;
  epoch: string;
  /** Ends the wait for the start, which may include the install of a whole store. */
  signal: AbortSignal;
}

/** A log that several nodes share. Readable at once; writable after `start`, on the leader. */
export interface RaftLog extends Log {
  /** Connects to the Go half, which starts the member; resolves when it runs, before there is a leader. Once. */
  start(start: RaftStart): Promise<void>;
  /** This member's server id; "" until it runs. */
  server(): string;
}

/** Opens the log over its store. Faults: `data_newer`, `data_corrupt`. */
export function createRaftLog(options: RaftOptions): RaftLog {
  const { store, apply, onFatal, unknownAfterMs = UNKNOWN_AFTER_MS } = options;
  let history = openHistory(store);
  let state: BatchState = history;
  const changes = new Changes(store.reader, { epoch: history.epoch, seq: history.seq });
  const duties = new Duties();
  const listeners = new Set<(now: Leadership) => void>();
  let leadership: Leadership = { leading: false, server: "", term: 0 };
  let place = placeOf(store.reader);
  let member: { start: RaftStart; socket: RaftSocket } | undefined;
  let server = "";
  let ticket = 0;
  let closed = false;
  let ended = false;
  const started = Promise.withResolvers<void>();
  started.promise.catch(() => {});

  const send = (frame: Uint8Array) => member?.socket.send(frame);
  const newTicket = (): number => {
    ticket += 1;
    return ticket;
  };
  const barriers = new Barriers({ send: (id) => send(proposeFrame(id, new Uint8Array())), afterMs: unknownAfterMs });
  const flights = new Flights({
    send: (id, entry) => send(proposeFrame(id, entry)),
    newTicket,
    stampMs: options.stampMs,
    level: () => state.level,
    unknownAfterMs,
  });

  function take(frame: RaftFrame): void {
    switch (frame.type) {
      case "welcome":
        server = frame.server;
        started.resolve();
        break;
      case "committed":
        applyCommitted(frame.entries);
        break;
      case "proposed":
        if (!barriers.proposed(frame.ticket, frame.index, place.index)) flights.answered(frame.ticket);
        break;
      case "refused":
        refused(frame.ticket, frame.reason);
        break;
      case "leadership":
        lead({ leading: frame.leading, server: frame.leader, term: frame.term });
        break;
      case "ask":
        void serve(frame.request, frame.ask);
        break;
      case "fatal":
        throw memberFault(frame.code, frame.message);
    }
  }

  /** One transaction for all of them, with the index of the last: a crash leaves both or neither. */
  function applyCommitted(committed: readonly CommittedEntry[]): void {
    const fresh = committed.filter(({ index }) => index > place.index);
    const last = fresh.at(-1);
    if (last === undefined) return;
    const done: { decoded: DecodedEntry; result: BatchResult }[] = [];
    let at = fresh[0]?.index ?? 0;
    try {
      const commands = fresh
        .filter(({ bytes }) => bytes.byteLength > 0)
        .map((entry) => {
          at = entry.index;
          return { ...entry, decoded: decodeEntry(entry.bytes) };
        });
      for (const { decoded } of commands) flights.committed(decoded.header);
      const lastCommand = commands.at(-1);
      if (lastCommand !== undefined) {
        store.transaction((tx) => {
          let before = state;
          for (const { index, decoded } of commands) {
            at = index;
            const result = applyCommands(store, tx, apply, before, decoded);
            before = result.state;
            done.push({ decoded, result });
          }
          writeApplied(tx, lastCommand.index, lastCommand.term);
        });
      }
    } catch (error) {
      throw applyFault(error, `Entry ${at} of the log`);
    }
    state = done.at(-1)?.result.state ?? state;
    place = { ...place, index: last.index, term: last.term };
    send(appliedFrame(last.index));
    for (const { decoded, result } of done) flights.applied(decoded.header, result);
    barriers.applied(last.index);
    changes.publish(done.flatMap(({ result }) => result.changes));
  }

  function refused(id: number, reason: Parameters<typeof lost>[0]): void {
    const fault = lost(reason, leadership.server);
    if (barriers.refused(id, fault)) return;
    // What may still be committed keeps waiting for its entry: losing the leadership is no failure (replication.md 9).
    if (reason === "unknown") flights.answered(id);
    else flights.refuse(id, fault);
  }

  function lead(now: Leadership): void {
    const before = leadership;
    leadership = now;
    if (!now.leading || now.term !== before.term) duties.end();
    if (now.leading && !(before.leading && before.term === now.term)) void takeOver(now.term);
    for (const listener of [...listeners]) listener(now);
  }

  /** Duties begin once an own entry of this term is applied here. */
  async function takeOver(term: number): Promise<void> {
    const leads = () => !closed && leadership.leading && leadership.term === term;
    while (leads()) {
      try {
        await barriers.wait(newTicket);
        if (leads()) duties.begin(term);
        return;
      } catch {
        await Bun.sleep(TAKE_OVER_MS);
      }
    }
  }

  async function serve(request: number, ask: StoreAsk): Promise<void> {
    try {
      send(answerFrame(request, { ok: await doAsk(ask) }));
    } catch (error) {
      send(answerFrame(request, { error: error instanceof Error ? error.message : String(error) }));
      // A copy that cannot be trusted is made anew; a store that holds another history will not become right by itself.
      if (error instanceof Fault && error.facts.quarantine !== undefined) fail(error);
    }
  }

  function doAsk(ask: StoreAsk): object | Promise<object> {
    if (ask.do === "copy") return store.copyTo(ask.path).then(() => ({}));
    if (ask.do === "mark") {
      const marked = markStore(store, ask);
      const stored = placeOf(store.reader);
      // Entries without commands are applied and not stored: who waits for one of them must not wait again.
      place = stored.index < place.index ? { ...place, server: stored.server } : stored;
      return marked;
    }
    if (member === undefined) throw new Error("an install before the start");
    const wasReady = place.server !== "";
    installStore(store, ask, {
      fleet: member.start.fleet,
      epoch: member.start.epoch,
      clean: options.cleanCopy ?? (() => {}),
      archive: options.archive ?? (() => ""),
    });
    // Whether the copy holds what was on its way cannot be told.
    flights.lose();
    history = openHistory(store);
    state = history;
    place = placeOf(store.reader);
    changes.restart({ epoch: state.epoch, seq: state.seq });
    barriers.applied(place.index);
    if (!wasReady) options.onJoined?.();
    return { index: place.index, term: place.term };
  }

  function fail(error: unknown): void {
    if (ended) return;
    const reason = error instanceof Fault ? error : linkLost(error);
    end();
    started.reject(reason);
    onFatal(reason);
  }

  function end(): void {
    ended = true;
    closed = true;
    lead({ leading: false, server: "", term: leadership.term });
    member?.socket.close();
    flights.end(stopping);
    barriers.end(stopping());
    listeners.clear();
  }

  return {
    changes,
    server: () => server,
    ready: () => place.server !== "",
    leadership: () => leadership,
    onLeadership: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    onLeading: (duty) => duties.on(duty),
    start: async (start) => {
      if (member !== undefined || ended) throw new Error("a log is started once");
      const socket = await connectRaftSocket({
        path: start.socketPath,
        onFrame: (frame) => {
          try {
            take(frame);
          } catch (error) {
            fail(error);
          }
        },
        onEnd: fail,
      });
      if (ended) {
        socket.close();
        throw stopping();
      }
      member = { start, socket };
      send(helloFrame(place));
      const stop = () => fail(start.signal.reason);
      start.signal.addEventListener("abort", stop, { once: true });
      if (start.signal.aborted) stop();
      await started.promise.finally(() => start.signal.removeEventListener("abort", stop));
    },
    propose: (command) => {
      if (closed) return Promise.reject(stopping());
      if (server === "") return Promise.reject(notStarted());
      return flights.propose(command);
    },
    barrier: () => {
      if (closed) return Promise.reject(stopping());
      if (server === "") return Promise.reject(notStarted());
      return barriers.wait(newTicket);
    },
    position: () => ({ epoch: state.epoch, seq: state.seq }),
    head: () => ({ seq: state.seq, hash: state.hash }),
    hashAt: (seq) => (seq === state.seq ? state.hash : hashAt(store.reader, seq)),
    positionAt: (seq) => history.positionAt(seq),
    sameHistory: (position) => history.sameHistory(position),
    stopApply: fail,
    close: async () => {
      closed = true;
      duties.end();
      const until = performance.now() + CLOSE_MS;
      while (!ended && flights.open > 0 && performance.now() < until) await Bun.sleep(5);
      if (!ended) end();
      started.reject(stopping());
    },
  };
}
