// The log of an edge: it orders nothing, and its changes come from the feed of a full node into the same table, so that positions, streams, waits and subscriptions work as elsewhere.
// Whom it follows is feed-client.ts; what the changes mean for kept answers is handed in and happens in the same transaction.

import { Fault } from "../lib/fault.ts";
import { Changes } from "../log/changes.ts";
import type { Log } from "../log/log.ts";
import { type Position, parsePosition } from "../log/position.ts";
import type { Store, Writer } from "../store/store.ts";
import type { FeedAnswer } from "./frames.ts";

/** Changes that an edge keeps for its followers; below them is its floor. */
const MAX_CHANGES = 100_000;
const TRIM_STEP = 1000;
/** Before the first answer of an upstream. */
const NOWHERE: Position = { epoch: "0000000000", seq: 0 };
const NO_HASH = new Uint8Array(32);

interface Epoch {
  n: number;
  id: string;
  forkSeq: number;
}

/** The log of an edge, and how the feed writes it. */
export interface EdgeLog extends Log {
  /** Commits what the feed brought; `also` runs in the same transaction. Where there is nothing to write, only the position moves, in memory. */
  take(answer: FeedAnswer, also?: (tx: Writer) => void): void;
  /** The changes up to the position of `answer` cannot be had: followers below are told so. */
  skip(answer: FeedAnswer, also: (tx: Writer) => void): void;
  /** Forgets everything: the history that was followed is not the fleet's, or this node is no member. */
  forget(also: (tx: Writer) => void): void;
  /** Writes the position that was reached in memory. */
  settle(also: (tx: Writer) => void): void;
}

/** Opens the log over the store of an edge, where the last run left it. */
export function openEdgeLog(store: Store): EdgeLog {
  store.transaction((tx) => {
    tx.run(
      "INSERT INTO head (one, seq, hash, log_time, floor, floor_hash) VALUES (1, 0, ?, 0, 0, ?) ON CONFLICT DO NOTHING",
      NO_HASH,
      NO_HASH,
    );
  });
  let epochs = readEpochs(store);
  let seq = store.reader.get<{ seq: number }>("SELECT seq FROM head")?.seq ?? 0;
  let logTimeMs = 0;
  let sinceTrim = 0;
  const epochNow = (): string => epochs.at(-1)?.id ?? NOWHERE.epoch;
  const changes = new Changes(store.reader, { epoch: epochNow(), seq });

  const writeHead = (tx: Writer, reached: number): void => {
    tx.run("UPDATE head SET seq = ?, log_time = MAX(log_time, ?) WHERE one = 1", reached, logTimeMs);
  };

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

  function writeChanges(tx: Writer, { items }: FeedAnswer): void {
    for (const item of items) {
      tx.run(
        "INSERT OR REPLACE INTO changes (seq, epoch, log_time, caller, via, operation, target, version, content_hash, outcome, hash) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        item.seq,
        item.epoch,
        item.timeMs,
        item.caller,
        item.via,
        item.operation,
        item.target,
        item.version,
        item.contentHash,
        item.outcome,
        NO_HASH,
      );
      logTimeMs = Math.max(logTimeMs, item.timeMs);
    }
    sinceTrim += items.length;
    if (sinceTrim < TRIM_STEP) return;
    sinceTrim = 0;
    const oldest = tx.get<{ seq: number }>("SELECT seq FROM changes ORDER BY seq DESC LIMIT 1 OFFSET ?", MAX_CHANGES);
    if (oldest !== undefined) raiseFloor(tx, oldest.seq);
  }

  return {
    changes,
    ready: () => epochs.length > 0,
    leadership: () => ({ leading: false, server: "", term: 0 }),
    onLeadership: () => () => {},
    onLeading: () => () => {},
    barrier: () => Promise.reject(noLog("wait for every acknowledged write")),
    propose: () => Promise.reject(noLog("order a write")),
    position: () => ({ epoch: epochNow(), seq }),
    head: () => ({ seq, hash: NO_HASH }),
    hashAt: () => undefined,
    positionAt: (at) => ({ epoch: epochs.findLast((epoch) => at > epoch.forkSeq)?.id ?? epochNow(), seq: at }),
    sameHistory: (position) => {
      const found = epochs.findIndex((epoch) => epoch.id === position.epoch);
      return found >= 0 && epochs.slice(found + 1).every((later) => position.seq <= later.forkSeq);
    },
    // It applies nothing of its own that could be wrong.
    stopApply: () => {},
    take(answer, also) {
      const reached = parsePosition(answer.position).seq;
      if (answer.items.length > 0 || answer.epochs !== null || also !== undefined) {
        store.transaction((tx) => {
          writeEpochs(tx, answer.epochs);
          writeChanges(tx, answer);
          also?.(tx);
          writeHead(tx, reached);
        });
        if (answer.epochs !== null) epochs = readEpochs(store);
      }
      seq = reached;
      if (changes.head().seq !== seq || changes.head().epoch !== epochNow())
        changes.publish(answer.items, { epoch: epochNow(), seq });
    },
    skip(answer, also) {
      const reached = parsePosition(answer.position).seq;
      store.transaction((tx) => {
        writeEpochs(tx, answer.epochs);
        raiseFloor(tx, reached);
        also(tx);
        writeHead(tx, reached);
      });
      seq = reached;
      epochs = readEpochs(store);
      changes.restart({ epoch: epochNow(), seq });
    },
    forget(also) {
      store.transaction((tx) => {
        tx.run("DELETE FROM epochs");
        tx.run("DELETE FROM changes");
        tx.run("UPDATE head SET seq = 0, floor = 0, log_time = 0 WHERE one = 1");
        also(tx);
      });
      seq = 0;
      epochs = [];
      logTimeMs = 0;
      changes.fork({ epoch: NOWHERE.epoch, seq: 0 });
    },
    settle(also) {
      store.transaction((tx) => {
        also(tx);
        writeHead(tx, seq);
      });
    },
    close: async () => {},
  };
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
