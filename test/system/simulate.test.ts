// `cairn simulate` as a person runs it against a real node: by its socket and through the fleet bridge, with its exit
// codes.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { startNode, type TestNode } from "../kit/node.ts";
import { TestTailnet } from "../kit/tailnet.ts";

let tailnet: TestTailnet;
let node: TestNode;

beforeAll(async () => {
  tailnet = await TestTailnet.start();
  for (const hostname of ["cairn", "player"]) await tailnet.expect({ hostname, user: "owner@example.com" });
  node = await startNode({ tailnet, env: { CAIRN_CONTROL_URL: tailnet.controlUrl } });
}, 600_000);

afterAll(async () => {
  await node?.[Symbol.asyncDispose]();
  await tailnet?.[Symbol.asyncDispose]();
}, 60_000);

test("against the node of this machine: says what each agent did, and that all was right", async () => {
  const { code, out, err } = await node.cli(["simulate", "--agents", "6", "--rounds", "4", "--seed", "7"]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toMatch(/^simulate {3}seed 7: 6 agents, 4 rounds, below simulate\//);
  expect(out.match(/^round /gm)).toHaveLength(24);
  for (const did of ["wrote and read", "counted on", "was woken by", "handed over to"]) expect(out).toContain(did);
  expect(out).toMatch(/^passed .* no update lost, \d+ contexts the same everywhere\n$/ms);
  const { out: authors } = await node.cli(["context", "ls", "simulate/", "--json"]);
  expect(new Set(JSON.parse(authors).contexts.map(({ author }: { author: string }) => author))).toEqual(
    new Set(["local:bridge"]),
  );
}, 60_000);

test("through the fleet bridge, as JSON lines, and cleaned up", async () => {
  const words = ["simulate", "--fleet", "--agents", "3", "--rounds", "4", "--json", "--clean", "--space", "tour"];
  const { code, out, err } = await node.cli(words);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const events = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { event: string; at?: string });
  expect(events.map(({ event }) => event)).toEqual([
    "began",
    ...Array.from({ length: 12 }, () => "did"),
    "right",
    "removed",
  ]);
  expect(events[1]?.at).toBe("the fleet");
  const { out: left } = await node.cli(["context", "ls", "tour/", "--json"]);
  expect(JSON.parse(left).contexts).toEqual([]);
}, 60_000);

test("over the tailnet, by a node of its own", async () => {
  const words = ["simulate", "--hostname", "player", "--private-tailnet", "--url", "http://cairn", "--agents", "3"];
  const { code, out, err } = await node.cli([...words, "--rounds", "4", "--space", "far"]);
  expect({ code, wrong: err.includes("CHECK FAILED") }).toEqual({ code: 0, wrong: false });
  expect(out).toContain("http://cairn)");
  const { out: authors } = await node.cli(["context", "ls", "far/", "--json"]);
  expect(new Set(JSON.parse(authors).contexts.map(({ author }: { author: string }) => author))).toEqual(
    new Set(["user:owner@example.com"]),
  );
}, 60_000);

test.each([
  ["a node of its own that goes nowhere", ["--hostname", "player"], 2, "Add --url http://cairn"],
  ["a number that is none", ["--agents", "many"], 2, '--agents must be a whole number from 1 to 10000, not "many"'],
  ["nothing to play", ["--rounds", "0"], 2, "--clean"],
  ["a space that is none", ["--space", "a/b"], 2, '--space "a/b" is not the name of a space'],
  ["an address that is none", ["--url", "cairn"], 2, '"cairn" is not the address of a node'],
  ["nobody there", ["--url", "http://127.0.0.1:9"], 32, "cannot connect to http://127.0.0.1:9"],
  ["a space that may not be written", ["--space", "fleet", "--rounds", "1"], 1, "was refused: forbidden"],
])(
  "%s: exit code and words",
  async (_what, words, exit, said) => {
    const { code, err } = await node.cli(["simulate", ...words]);
    expect(err).toContain(said);
    expect(code).toBe(exit);
  },
  60_000,
);
