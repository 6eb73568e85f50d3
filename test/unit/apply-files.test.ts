// Files of declarations: JSON, YAML and TOML, one or many in each, folders, and what is none.

import { describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readDeclared } from "../../src/cli/declare/read-declared.ts";
import { refusal } from "../kit/refusal.ts";
import { temporaryFolder } from "../kit/temporary.ts";

function fileOf(name: string, text: string): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, text);
  return path;
}

const DESK = { kind: "lamp", name: "desk", declared: { watts: 40 } };
const LOBBY = { kind: "lamp", name: "lobby", declared: { watts: 10, room: "hall" } };

describe("a file has", () => {
  test.each<[string, string, object[]]>([
    ["a.json", '{"kind":"lamp","name":"desk","watts":40}', [DESK]],
    ["a.json", '[{"kind":"lamp","name":"desk","watts":40}]', [DESK]],
    ["a.yaml", "kind: lamp\nname: desk\nwatts: 40\n", [DESK]],
    [
      "a.yml",
      "kind: lamp\nname: desk\nwatts: 40\n---\nkind: lamp\nname: lobby\nwatts: 10\nroom: hall\n",
      [DESK, LOBBY],
    ],
    ["a.toml", '[[declarations]]\nkind = "lamp"\nname = "desk"\nwatts = 40\n', [DESK]],
    ["a.toml", 'kind = "lamp"\nname = "desk"\nwatts = 40\n', [DESK]],
  ])("%s: %j", async (name, text, declared) => {
    expect(await readDeclared(fileOf(name, text))).toEqual(declared as never);
  });

  test.each<[string, string, string]>([
    ["a.json", "{", "is not JSON"],
    ["a.yaml", "a: [", "is not YAML"],
    ["a.toml", "a = ", "is not TOML"],
    ["a.yaml", "", "declares nothing"],
    ["a.yaml", "- 1", "without kind and name; it has 1"],
    ["a.json", '{"kind":"lamp"}', "without kind and name"],
    ["a.json", '{"kind":"lamp","name":3}', "without kind and name"],
    ["a.yaml", "kind: lamp\nname: desk\nwatts: .inf\n", "a value that JSON does not have: watts is Infinity"],
  ])("%s: %j, which is refused", async (name, text, why) => {
    const { code, message } = await refusal(readDeclared(fileOf(name, text)));
    expect(code).toBe("invalid_input");
    expect(message).toContain(why.split(";")[0] ?? "");
  });
});

test("of a folder the files with these endings are read, by name, and no folders in it", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "b.yaml"), "kind: lamp\nname: lobby\nwatts: 10\nroom: hall\n");
  writeFileSync(join(folder, "a.json"), '{"kind":"lamp","name":"desk","watts":40}');
  writeFileSync(join(folder, "notes.md"), "# no declaration");
  mkdirSync(join(folder, "c.yaml"));
  expect(await readDeclared(folder)).toEqual([DESK, LOBBY]);
  expect((await refusal(readDeclared(join(folder, "none.yaml")))).message).toContain("Cannot read");
});

test("links to files are followed, and one that leads nowhere is refused", async () => {
  const folder = temporaryFolder();
  symlinkSync(fileOf("desk.json", '{"kind":"lamp","name":"desk","watts":40}'), join(folder, "desk.json"));
  expect(await readDeclared(folder)).toEqual([DESK]);
  symlinkSync(join(folder, "nowhere"), join(folder, "lobby.yaml"));
  expect((await refusal(readDeclared(folder))).message).toContain("lobby.yaml");
});
