// What the reference of operations shows inside arguments: paths, alternatives, and shapes that occur again.

import { expect, test } from "bun:test";
import { FieldTables } from "../../scripts/page-fields.ts";

const text = { type: "string" };
const shape = (properties: object, required: string[] = []) => ({ type: "object", properties, required });

test("lists and objects are shown by the path to each field, once for every shape", () => {
  const inside = new FieldTables();
  const rules = {
    type: "array",
    items: shape({ id: { ...text, description: "Its id" }, match: shape({ cel: text }) }, ["id"]),
  };
  expect(inside.linesOf("first", "rules", rules).join("\n")).toBe(
    [
      ...["Inside `rules`:", "", "| Field | Type | Required | Description |", "| --- | --- | --- | --- |"],
      "| `rules[].id` | text | yes | Its id |",
      ...["| `rules[].match` | object |  |  |", "| `rules[].match.cel` | text |  |  |", ""],
    ].join("\n"),
  );
  expect(inside.linesOf("second", "rules", rules)).toEqual(["Inside `rules`: as in [`first`](#first).", ""]);
  expect(inside.linesOf("second", "name", text)).toEqual([]);
});

test("fields of alternatives name those that have them", () => {
  const kind = (name: string, more: object) => shape({ kind: { ...text, const: name }, ...more }, ["kind"]);
  const target = { oneOf: [kind("http", { url: text }), kind("peer", { host: text, url: text })] };
  const lines = new FieldTables().linesOf("set", "target", target).join("\n");
  expect(lines).toContain("| `target.url` (http, peer) | text |");
  expect(lines).toContain("| `target.host` (peer) | text |");
  expect(lines).toContain('| `target.kind` (http) | "http" | yes |');
});
