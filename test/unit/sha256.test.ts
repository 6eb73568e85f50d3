// SHA-256 of texts and bytes, whole and in parts.

import { expect, test } from "bun:test";
import { Sha256, sha256Hex } from "../../src/lib/sha256.ts";

const ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

test("a text is hashed as UTF-8, whole or in parts", () => {
  expect(sha256Hex("abc")).toBe(ABC);
  expect(sha256Hex(new TextEncoder().encode("abc"))).toBe(ABC);
  expect(sha256Hex("ü")).toBe(sha256Hex(Buffer.from("ü", "utf8")));
  expect(new Sha256().update("a").update(Buffer.from("bc")).hex()).toBe(ABC);
  expect(Buffer.from(new Sha256().update("abc").bytes()).toString("hex")).toBe(ABC);
  expect(new Sha256().bytes()).toHaveLength(32);
});
