// Takes the texts that a purge removed out of the files of a store (security.md 23), and notes it there.

import { reasonOf } from "../lib/reason-of.ts";
import type { Store } from "../store/store.ts";
import { writeMeta } from "./meta.ts";
import { purgeState } from "./purge-state.ts";

/**
 * Erases the files of a store and beside it, then by `others` what else holds purged texts; it returns why that failed,
 * or "". Returns why a purged text may still be on the disk, or "". Never rejects.
 */
export async function erasePurged(store: Store, others: () => Promise<string> = async () => ""): Promise<string> {
  try {
    const { purged, erased } = purgeState(store.reader);
    if (erased >= purged) return "";
    const own = (await store.erase()) ? await store.eraseBeside() : "another process reads the store";
    const reason = own === "" ? await others() : own;
    // A purge that came meanwhile is still to do: only the one that this run was about is noted.
    if (reason === "") store.transaction((tx) => writeMeta(tx, { erased_seq: purged }));
    return reason;
  } catch (error) {
    return reasonOf(error);
  }
}
