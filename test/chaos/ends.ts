// The final content of a store, in the form of the checker: every change, the head of the chain, and the histories.

import type { Reader } from "../../src/store/store.ts";
import type { End, Epoch, SeenChange } from "./history.ts";

/** Returns the content of a store, with the digest of everything that is replicated. */
export function endOf(reader: Reader, node: string, digest: string): End {
  const head = reader.get<{ seq: number; hash: Uint8Array; floor: number }>("SELECT seq, hash, floor FROM head");
  if (head === undefined) throw new Error(`${node} has no head`);
  // A batch of events is no version of a context: its version is their number.
  const hash = "iif(operation = 'event_append', '', substr(content_hash, 1, 12)) AS hash";
  const changes = reader.all<SeenChange>(
    `SELECT epoch, seq, target AS key, version, ${hash} FROM changes ORDER BY seq`,
  );
  return {
    node,
    seq: head.seq,
    hash: Buffer.from(head.hash).toString("hex"),
    digest,
    changes,
    floor: head.floor,
  };
}

/** Returns the histories of a store, in their order. */
export function epochsOf(reader: Reader): Epoch[] {
  return reader.all<Epoch>("SELECT id, fork_seq AS forkSeq FROM epochs ORDER BY n");
}
