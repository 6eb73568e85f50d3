// The hash over one change: each of its parts decides it, with and without a state hash.

import { expect, test } from "bun:test";
import { chainHash } from "../../src/log/chain.ts";
import type { Change } from "../../src/log/changes.ts";

const ZERO = new Uint8Array(32);
const CHANGE: Change = {
  ...{ epoch: "e", seq: 1, timeMs: 2, caller: "c", via: "n", operation: "o", target: "t", version: 3 },
  ...{ contentHash: "h", outcome: "created" },
};
const OTHER: Change = {
  ...{ epoch: "x", seq: 9, timeMs: 9, caller: "x", via: "x", operation: "x", target: "x", version: 9 },
  ...{ contentHash: "x", outcome: "x" },
};
const hash = (change: Change, state = "", previous = ZERO) =>
  Buffer.from(chainHash(previous, change, state)).toString("hex");

test.each(["", "s"])("every field of a change decides its hash, with the state hash %p", (state) => {
  const names = Object.keys(CHANGE) as (keyof Change)[];
  const hashes = names.map((name) => hash({ ...CHANGE, [name]: OTHER[name] }, state));
  // The node that forwarded it too where it is missing.
  const all = [
    ...hashes,
    hash(CHANGE, state),
    hash({ ...CHANGE, via: "" }, state),
    hash(CHANGE, state, new Uint8Array(32).fill(1)),
  ];
  expect(new Set(all).size).toBe(names.length + 3);
});

test("the state hash decides it, and is never taken for the forwarding node", () => {
  const direct = { ...CHANGE, via: "" };
  const all = [hash(CHANGE, ""), hash(direct, ""), hash(CHANGE, "n"), hash(direct, "n"), hash(direct, "s")];
  expect(new Set(all).size).toBe(5);
});

test("what a client said decides it, and is never taken for the forwarding node or the state hash", () => {
  const direct = { ...CHANGE, via: "" };
  const said = (client: string) => [
    hash({ ...CHANGE, client }),
    hash({ ...direct, client }),
    hash({ ...direct, client }, "n"),
  ];
  const all = [...said(""), ...said("n"), ...said("s"), hash(CHANGE, "s"), hash({ ...CHANGE, client: "n" }, "s")];
  expect(new Set(all).size).toBe(all.length);
});

test("the end of one field is not the begin of the next", () => {
  expect(hash({ ...CHANGE, caller: "ab", via: "", operation: "c" })).not.toBe(
    hash({ ...CHANGE, caller: "a", via: "", operation: "bc" }),
  );
});

test("hashes stay as chains were written: without a forwarding node and a state hash neither is a part", () => {
  const parts = ["e", "1", "2", "c", "o", "t", "3", "h", "created"].map((part) => Buffer.from(part));
  const digest = (more: readonly string[]) => {
    const hasher = new Bun.CryptoHasher("sha256");
    for (const part of [Buffer.from(ZERO), ...parts, ...more.map((part) => Buffer.from(part))]) {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(part.length);
      hasher.update(length).update(part);
    }
    return hasher.digest("hex");
  };
  expect(hash({ ...CHANGE, via: "" })).toBe(digest([]));
  expect(hash(CHANGE)).toBe(digest(["n"]));
  expect(hash({ ...CHANGE, via: "" }, "s")).toBe(digest(["", "s"]));
  expect(hash(CHANGE, "s")).toBe(digest(["n", "s"]));
  expect(hash({ ...CHANGE, client: "c" }, "s")).toBe(digest(["n", "s", "c"]));
  expect(hash({ ...CHANGE, via: "", client: "c" })).toBe(digest(["", "", "c"]));
});
