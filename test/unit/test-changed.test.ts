// What `npm test -- --changed` runs, on a small project that is only a table of files.

import { expect, test } from "bun:test";
import { choosePackages, chooseTests } from "../../scripts/test-changed.ts";
import { type ProjectFiles, UseGraph } from "../../scripts/use-graph.ts";

const FILES: Readonly<Record<string, string>> = {
  "src/main.ts": 'import { serve } from "./node/serve.ts";',
  "src/node/serve.ts": 'import "../store/store.ts";',
  "src/store/store.ts": 'import sql from "./schema.sql" with { type: "text" };\nexport * from "./rows.ts";',
  "src/store/schema.sql": "CREATE TABLE t (n INTEGER)",
  "src/store/rows.ts": 'import type { Shape } from "./shape.ts";\nexport const rows = [];',
  "src/store/shape.ts": "export interface Shape {}",
  "scripts/native.ts": "export function ensureNative() {}",
  "test/kit/node.ts":
    'import { ensureNative } from "../../scripts/native.ts";\nconst main = join(root, "src", "main.ts");\nspawn(main, ensureNative);',
  "test/kit/child-main.ts": 'import { rows } from "../../src/store/rows.ts";\nconsole.log(rows);',
  "test/unit/store.test.ts": 'import { rows } from "../../src/store/store.ts";\nconsole.log(rows);',
  "test/unit/lazy.test.ts": 'test("x", async () => { await import("../../src/store/store.ts"); });',
  "test/unit/alone.test.ts": '// import { rows } from "../../src/store/store.ts";\nsplit("."); test("x", () => {});',
  "test/unit/golden.test.ts": `read(join(import.meta.dir, "..", "..", "native", "testdata", "protocol", \`\${name}.jsonl\`));`,
  "test/contract/child.test.ts": 'spawn(join(import.meta.dir, "../kit/child-main.ts"));',
  "test/system/node.test.ts": 'import { node } from "../kit/node.ts";\nnode();',
  "test/system/readme.test.ts": 'read(join(ROOT, "README.md"));',
  "README.md": "",
};
const TESTS = Object.keys(FILES).filter((file) => file.endsWith(".test.ts"));
const FOLDERS = ["native/testdata/protocol", "test/kit", "src/store"];
const files: ProjectFiles = { read: (path) => FILES[path], isFolder: (path) => FOLDERS.includes(path) };
const chosen = (...changed: string[]) => chooseTests(TESTS, changed, new UseGraph(files));
const names = (...changed: string[]) => chosen(...changed).map(({ name }) => name);

test("a test is chosen when it changed, and when anything that it imports did, however far away", () => {
  expect(chosen("test/unit/alone.test.ts")).toEqual([{ name: "test/unit/alone.test.ts", why: "it changed itself" }]);
  expect(chosen("src/store/schema.sql")).toEqual([
    { name: "test/unit/store.test.ts", why: "uses src/store/store.ts → src/store/schema.sql" },
    { name: "test/unit/lazy.test.ts", why: "uses src/store/store.ts → src/store/schema.sql" },
  ]);
});

test("a program that a test starts, and a page that it reads, count as used", () => {
  expect(names("src/store/rows.ts")).toEqual([
    "test/unit/store.test.ts",
    "test/unit/lazy.test.ts",
    "test/contract/child.test.ts",
  ]);
  expect(names("README.md")).toEqual(["test/system/readme.test.ts"]);
  expect(names("native/testdata/protocol/hello.jsonl")).toEqual(["test/unit/golden.test.ts"]);
});

test("types, comments and the product as a process choose nothing", () => {
  expect(names("test/kit/unused.ts")).toEqual([]);
  expect(names("src/store/shape.ts", "src/node/serve.ts", "src/main.ts", "docs/new.md")).toEqual([]);
});

test("a change of the Go half chooses what needs its build; a change of its tests does not", () => {
  expect(chosen("native/core/egress.go")).toEqual([
    { name: "test/system/node.test.ts", why: "needs what is built from native/core/egress.go" },
  ]);
  expect(names("native/core/egress_test.go", "native/PROTOCOL.md")).toEqual([]);
});

test("what all tests depend on chooses all", () => {
  expect(names("package-lock.json")).toEqual(TESTS);
});

test("Go packages are chosen by their own files and by the packages that they use", () => {
  const packages = [
    { folder: "native/core", uses: ["native/raftlog"] },
    { folder: "native/raftlog", uses: [] },
    { folder: "native/tailnettest", uses: [] },
  ];
  expect(choosePackages(packages, ["native/raftlog/testdata/x.json"])).toEqual([
    { name: "native/core", why: "uses native/raftlog, where native/raftlog/testdata/x.json changed" },
    { name: "native/raftlog", why: "native/raftlog/testdata/x.json changed" },
  ]);
  expect(choosePackages(packages, ["src/main.ts", "native/PROTOCOL.md"])).toEqual([]);
  expect(choosePackages(packages, ["native/go.mod"])).toHaveLength(3);
});
