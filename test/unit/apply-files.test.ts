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

/** Without the files that the declarations are from. */
const declared = async (path: string) => (await readDeclared(path)).map(({ source: _source, ...each }) => each);

const DESK = { kind: "lamp", name: "desk", declared: { watts: 40 } };
const LOBBY = { kind: "lamp", name: "lobby", declared: { watts: 10, room: "hall" } };

/** Nine lists, each with nine times the one before. */
const BOMB = [
  "a0: &a0 [x, x, x, x, x, x, x, x, x]",
  ...Array.from({ length: 9 }, (_, at) => `a${at + 1}: &a${at + 1} [${Array(9).fill(`*a${at}`).join(", ")}]`),
  "kind: lamp",
  "name: desk",
].join("\n");

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
  ])("%s: %j", async (name, text, found) => {
    const file = fileOf(name, text);
    expect(await readDeclared(file)).toEqual(found.map((each) => ({ ...each, source: file.slice(-200) })) as never);
  });

  test.each<[string, string, string]>([
    ["a.json", "{", "is not JSON"],
    ["a.yaml", "a: [", "is not YAML"],
    ["a.toml", "a = ", "is not TOML"],
    ["a.yaml", "", "declares nothing"],
    ["a.yaml", "- 1", "without kind and name; it has 1"],
    ["a.json", '{"kind":"lamp"}', "without kind and name"],
    ["a.json", '{"kind":"lamp","name":3}', "without kind and name"],
    ["a.yaml", "&a [*a]", "is nested deeper than 64"],
    ["a.yaml", "kind: lamp\nname: desk\nroom: &r {in: *r}\n", "is nested deeper than 64"],
    ["a.yaml", "declarations: &d [*d]\n", "is nested deeper than 64"],
    ["a.json", `${"[".repeat(100_000)}${"]".repeat(100_000)}`, "is nested deeper than 64"],
    ["a.yaml", BOMB, "is not YAML: Excessive aliasing"],
    ["a.json", `[${"1,".repeat(200_000)}1]`, "has more than 200000 values"],
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
  expect(await declared(folder)).toEqual([DESK, LOBBY]);
  expect((await refusal(readDeclared(join(folder, "none.yaml")))).message).toContain("Cannot read");
});

test("links to files are followed, and one that leads nowhere is refused", async () => {
  const folder = temporaryFolder();
  symlinkSync(fileOf("desk.json", '{"kind":"lamp","name":"desk","watts":40}'), join(folder, "desk.json"));
  expect(await declared(folder)).toEqual([DESK]);
  symlinkSync(join(folder, "nowhere"), join(folder, "lobby.yaml"));
  expect((await refusal(readDeclared(folder))).message).toContain("lobby.yaml");
});

describe("with --prune", () => {
  const pruned = async (path: string) => {
    const { code, message, hint } = await refusal(readDeclared(path, { prunes: true }));
    expect(code).toBe("invalid_input");
    expect(hint).toContain("--prune");
    return message;
  };

  test.each(["", "\n# nothing\n", "[]", "---\n---\n"])("a file with %j is refused", async (text) => {
    expect(await pruned(fileOf("a.yaml", text))).toContain("a.yaml declares nothing");
  });

  test("an empty one of several files is refused by its name, and so is a folder within the folder", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "a.json"), '{"kind":"lamp","name":"desk","watts":40}');
    mkdirSync(join(folder, ".git"));
    expect(await readDeclared(folder, { prunes: true })).toHaveLength(1);
    writeFileSync(join(folder, "b.yaml"), "");
    expect(await pruned(folder)).toContain("b.yaml declares nothing");
    expect(await declared(folder)).toEqual([DESK]);
    writeFileSync(join(folder, "b.yaml"), "kind: lamp\nname: lobby\nwatts: 10\nroom: hall\n");
    mkdirSync(join(folder, "more"));
    expect(await pruned(folder)).toContain("has the folder more, which is not read");
    expect(await declared(folder)).toEqual([DESK, LOBBY]);
  });
});
