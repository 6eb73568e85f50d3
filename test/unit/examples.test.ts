// The examples of docs/operations.md without a node: each can be parsed, and the gate knows which spaces it is about.
// test/system/openapi.test.ts runs them on a whole node. And the pages that are made of tables name all there is.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generatedFiles } from "../../scripts/generate.ts";
import { routesOf } from "../../src/api/index.ts";
import { FEATURES, MIGRATIONS, OPERATIONS } from "../../src/features/index.ts";
import { parseInput } from "../../src/operation/parse-input.ts";
import { Store } from "../../src/store/store.ts";
import { exampleCalls } from "../kit/examples.ts";

const pages = generatedFiles();

test.each(exampleCalls())("the example of $name can be parsed, and has spaces", ({ name, example }) => {
  const operation = OPERATIONS.find((one) => one.name === name);
  if (operation === undefined) throw new Error(`there is no ${name}`);
  const { input } = parseInput(operation, example);
  const { spaces } = operation.access;
  const touched = typeof spaces === "function" ? spaces(input) : spaces;
  expect(touched === "visible" || (touched.length > 0 && touched.every((space) => space !== ""))).toBe(true);
});

test("docs/operations.md has a section for each operation, and docs/routes.md one for each route", () => {
  const headings = (page: string) => [...(pages.get(page) ?? "").matchAll(/^##+ (\w+)$/gm)].map((found) => found[1]);
  expect(headings("docs/operations.md").sort()).toEqual(
    exampleCalls()
      .map(({ name }) => name)
      .sort(),
  );
  expect(headings("docs/routes.md")).toEqual(routesOf(FEATURES).map(({ operationId }) => operationId));
});

test("docs/tables.md names every table of a store", () => {
  const folder = mkdtempSync(join(tmpdir(), "cairn-tables-"));
  const store = Store.open({ folder, migrations: MIGRATIONS, log: () => {} });
  const tables = store.reader.all<{ name: string }>(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
  );
  store.close();
  rmSync(folder, { recursive: true });
  const named = [...(pages.get("docs/tables.md") ?? "").matchAll(/^\| `(\w+)` \|/gm)].map((found) => found[1]);
  expect(named.toSorted()).toEqual(tables.map(({ name }) => name).sort());
});
