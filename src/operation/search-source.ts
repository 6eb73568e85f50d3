// What the index of searches (features/search) needs to know of the rows of a feature. A feature lists its sources in
// its manifest, and knows nothing of the index.

import type { Change } from "../log/changes.ts";
import type { Reader } from "../store/store.ts";
import { ServiceKey } from "./services.ts";
import type { VisibleRow } from "./visibility.ts";

/** A row that can be found, as it is now. */
export interface SearchedRow {
  /** Seq of the change that wrote it: no row of any source has the same one. Rows are looked at from the newest on. */
  seq: number;
  space: string;
  /** Who in the space may read it. Left out: whoever may read the space. */
  visible?: VisibleRow;
  title: string;
  tags: readonly string[];
  /** Returns its text. */
  text(): string;
  /** About the length of the text in bytes. */
  bytes: number;
  /** When it was written, in ms of log time. */
  timeMs: number;
  author: string;
  /** The agent of the author; "" for none. */
  agent: string;
  /** What names it in an answer. */
  shown: { id?: string; session?: string; message?: string };
}

/** The rows of one kind. */
export interface SearchSource {
  /** The word for them in the filter `kind`. */
  kind: string;
  /** Fleet level from which on there are such rows. */
  level: number;
  /** Returns the keys of rows after a key, in a fixed order; "" is before the first. They may be of removed rows. */
  keysAfter(reader: Reader, after: string, limit: number): string[];
  /** Returns the keys of the rows that a change may have altered. */
  changedBy(reader: Reader, change: Change): string[];
  /** Returns a row as reads see it now; undefined where it is not there, such as a deleted or expired one. */
  row(reader: Reader, key: string): SearchedRow | undefined;
}

/** Every source of a node. */
export const SEARCH_SOURCES: ServiceKey<readonly SearchSource[]> = new ServiceKey("what can be searched");
