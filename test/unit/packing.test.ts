// What is packed for the log and for peers has no member without a value: apply and peers ask whether one is there.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { probePeerPaths, resultsShape } from "../../src/features/probe/peer-paths.ts";
import { plainPackr, withoutUndefined } from "../../src/lib/plain-packr.ts";
import { decodeEntry, encodeEntry, packCommand } from "../../src/log/entry.ts";
import { decodeFrame, encodeFrame } from "../../src/peer/frames.ts";

const HEADER = { level: 1, origin: "00".repeat(16), ticket: 1, stampMs: 1 };

const ofLog = (input: unknown): unknown => {
  const command = { name: "n", v: 1, input, caller: "c", via: "", key: "" };
  return decodeEntry(encodeEntry(HEADER, [packCommand(command)])).commands[0]?.input;
};
const ofPeer = (value: unknown): unknown => decodeFrame(encodeFrame(value));

describe.each([
  ["a command of the log", ofLog],
  ["a message between nodes", ofPeer],
])("%s", (_what, through) => {
  test("leaves undefined members out, at any depth", () => {
    const value = { a: undefined, b: { c: undefined, d: [{ e: undefined, f: 1 }] }, g: null, h: "", i: 0, j: false };
    const found = through(value) as Record<string, unknown>;
    expect(Object.keys(found)).toEqual(["b", "g", "h", "i", "j"]);
    expect(found).toStrictEqual({ b: { d: [{ f: 1 }] }, g: null, h: "", i: 0, j: false });
  });

  test("keeps the places of a list, and bytes", () => {
    expect(through([1, undefined, 2])).toEqual([1, null, 2]);
    const bytes = new Uint8Array([1, 2, 3]);
    expect(Buffer.from((through({ bytes, none: undefined }) as { bytes: Uint8Array }).bytes)).toEqual(
      Buffer.from(bytes),
    );
  });
});

test("what has no undefined member has the bytes that it always had", () => {
  const input = { id: "a/b", tags: ["x"], more: { n: 1, none: null } };
  const packed = packCommand({ name: "put", v: 2, input, caller: "u", via: "", key: "" });
  expect(Buffer.from(packed).toString("hex")).toBe(
    "96a370757402de0003a26964a3612f62a47461677391a178a46d6f7265de0002a16e01a46e6f6e65c0a175a0a0",
  );
  const packr = plainPackr();
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(withoutUndefined(value)).toBe(value);
      expect(ofLog(value)).toEqual(packr.unpack(packr.pack(value)));
    }),
  );
});

test("a value nested deep takes one walk", () => {
  let value: object = { end: undefined, kept: 1 };
  for (let depth = 0; depth < 200; depth += 1) value = { inner: value, other: [1] };
  let found = withoutUndefined(value) as { inner?: object };
  for (let depth = 0; depth < 200; depth += 1) found = found.inner as typeof found;
  expect(Object.keys(found)).toEqual(["kept"]);
});

test("a member says what came of checks that have no latency and no value", async () => {
  const kept = { atMs: 1, good: false, latencyMs: undefined, value: undefined, detail: "x" };
  const paths = probePeerPaths({ results: () => [kept] } as never, () => []);
  const member = { node: "n", role: "central" } as never;
  const answer = (await paths["probe_results"]?.handle({ member, input: { name: "web" } } as never)) as object;
  const { results } = ofPeer(answer) as { results: unknown };
  expect(resultsShape.parse(results)).toEqual([{ atMs: 1, good: false, detail: "x" }]);
});
