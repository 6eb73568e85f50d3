// Checks that the bytes counted for kept outcomes are those that are kept.

import { expect } from "bun:test";
import type { Reader } from "../../src/store/store.ts";

/** Throws where the bytes counted by caller differ from those of the rows. */
export function checkOutcomes(reader: Reader): void {
  const kept =
    "SELECT caller, by_node, SUM(bytes) AS bytes FROM idempotency WHERE bytes > 0 GROUP BY 1, 2 ORDER BY 1, 2";
  expect(reader.all("SELECT * FROM kept_outcomes ORDER BY caller, by_node")).toEqual(reader.all(kept));
}
