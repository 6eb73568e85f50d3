// The page of clients is read back as it was written, so a run of one client changes its row only.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { clientsPage, rowsOf } from "../../scripts/page-clients.ts";
import { ROOT } from "../clients/install.ts";
import { MATRIX } from "../clients/matrix.ts";

const PAGE = readFileSync(join(ROOT, "docs", "clients.md"), "utf8");

test("the page in docs is what its rows give, for every client of the matrix", () => {
  const rows = rowsOf(PAGE);
  expect([...rows.keys()]).toEqual(Object.keys(MATRIX));
  expect(clientsPage(rows)).toBe(PAGE);
});

test("a run of one client changes its row, and the notes that only this row had", () => {
  const rows = rowsOf(PAGE);
  const outcome = { check: "wait", result: "limited", note: "ends every wait after a second" } as const;
  rows.set("codex", { version: "9.9.9", outcomes: [outcome] });
  const again = rowsOf(clientsPage(rows));
  expect(again).toEqual(rows);
  expect(again.get("codex")).toEqual({ version: "9.9.9", outcomes: [outcome] });
  expect(again.get("python-mcp-1")?.outcomes).toContainEqual({
    check: "cancel",
    result: "limited",
    note: "sends no cancellation and keeps the connection: the wait ends by its timeout",
  });
});
