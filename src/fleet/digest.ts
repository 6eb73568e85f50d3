// The tables of the fleet as they count for digests that must be equal on every full node.

import type { DigestTable } from "../log/digest.ts";

/** Members and tickets. */
export const FLEET_TABLES: readonly DigestTable[] = [
  { name: "members", sql: "SELECT * FROM members ORDER BY node" },
  { name: "tickets", sql: "SELECT * FROM tickets ORDER BY hash" },
];
