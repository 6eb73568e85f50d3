// Whatever the leader takes, every node of the fleet can carry: documents of the largest size whose text grows most on
// its way, through the real frames. The bounds derive from one another.

import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { linesOf } from "../../src/cli/export/export-file.ts";
import { SETTINGS } from "../../src/config/settings.ts";
import { exportLines, importLines } from "../../src/features/context/index.ts";
import { MAX_DOCUMENT_BYTES, MAX_FRAME_BYTES } from "../../src/lib/bounds.ts";
import { UNBOUNDED } from "../../src/lib/request-body.ts";
import { BOUNDS, checkBounds } from "../../src/node/check-bounds.ts";
import {
  decodeAnswer,
  decodeInput,
  encodeAnswer,
  encodeCall,
  forwardFrame,
} from "../../src/operation/forward-frame.ts";
import { decodeFrame, encodeFrame } from "../../src/peer/frames.ts";
import { ask, get, member, pairFor, put } from "../kit/asking.ts";
import { type Core, localAdmin, startCore } from "../kit/core.ts";
import { refusal } from "../kit/refusal.ts";

const SEED = Number(process.env["CAIRN_TEST_SEED"] ?? 20_261_129);
const ROOT = join(import.meta.dir, "..", "..");

/** The text of the largest size that repeats `piece`. */
function filled(piece: string): string {
  const bytes = Buffer.byteLength(piece);
  return piece.repeat(Math.floor(MAX_DOCUMENT_BYTES / bytes));
}

test("each bound is large enough, and one that is not refuses the start", () => {
  expect(() => checkBounds()).not.toThrow();
  for (const { name, least } of BOUNDS)
    expect(() => checkBounds([{ name, bytes: least - 1, least }])).toThrow(`${name} may have ${least - 1} bytes`);
});

test("the Go half carries as much: frames of raft.sock, and answers of one caller", () => {
  const constant = (file: string, name: string): number => {
    const found = new RegExp(`${name}\\s*=\\s*(\\d+) << 20`).exec(readFileSync(join(ROOT, "native", file), "utf8"));
    return Number(found?.[1]) * 1024 * 1024;
  };
  const frame = BOUNDS.find(({ name }) => name === "a frame on raft.sock");
  expect(constant("raftlog/frames.go", "MaxFrameBytes")).toBe(frame?.bytes ?? 0);
  expect(constant("core/conns.go", "maxAnswerBytesPerCaller")).toBeGreaterThanOrEqual(MAX_FRAME_BYTES);
});

test("the largest document fits into a call and an answer, whatever its text", () => {
  console.log(`seed ${SEED}`);
  const piece = fc.oneof(
    fc.constantFrom("\u0001", '"', "\\", "\n", "é", "\u2028", "😀", "\u007f", "a"),
    fc.string({ unit: "binary", minLength: 1, maxLength: 8 }),
  );
  fc.assert(
    fc.property(piece, (text) => {
      const content = filled(text.toWellFormed());
      const line = JSON.stringify({ id: "team-a/x", content });
      for (const value of [{ content }, { lines: [line] }]) {
        const call = encodeCall({ operation: "context_put", input: value, caller: member, kind: "write" });
        const asked = forwardFrame.parse(decodeFrame(encodeFrame(call)));
        expect(Bun.deepEquals(decodeInput(asked), value)).toBe(true);
        const answer = { output: value, position: "0123456789-1" };
        const told = decodeAnswer(decodeFrame(encodeFrame(encodeAnswer(answer))));
        expect(Bun.deepEquals(told.output, value)).toBe(true);
      }
    }),
    { seed: SEED, numRuns: 12 },
  );
}, 120_000);

test("a document that the leader takes is written and read through every member", async () => {
  await using pair = await pairFor(member, { limits: { maxDocumentBytes: MAX_DOCUMENT_BYTES } });
  const content = filled("\u0001");
  for (const writer of [pair.node(0), pair.node(1)]) {
    await put(writer, content, { content_type: "text/plain" });
    for (const reader of [pair.node(0), pair.node(1)]) {
      const { output } = await get(reader, { consistency: "leader" });
      expect(output["content"] === content).toBe(true);
    }
  }
}, 120_000);

/** Calls operations over HTTP as `cairn export` and `cairn import` do, at a listener with the default settings. */
function callerOver(core: Core) {
  const hold = { ...UNBOUNDED, maxBytes: SETTINGS["http.max_body_bytes"].default };
  return async (operation: string, input: Record<string, unknown>) => {
    const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(input) };
    const response = await core.api.fetch(new Request(`http://cairn/operations/${operation}`, init), localAdmin, hold);
    const body = (await response.json()) as Record<string, unknown>;
    if (!response.ok) throw new Error(JSON.stringify(body));
    return body;
  };
}

test("the largest documents are exported and imported, whatever their text", async () => {
  console.log(`seed ${SEED}`);
  await using from = startCore({ maxDocumentBytes: MAX_DOCUMENT_BYTES });
  await using to = startCore({ maxDocumentBytes: MAX_DOCUMENT_BYTES });
  const file = join(mkdtempSync(join(tmpdir(), "cairn-bounds-")), "all.jsonl");
  const piece = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom("\u0001", '"', "\\", "é", "\u2028", "\ufeff", "a") },
    { weight: 1, arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 8 }) },
  );
  let count = 0;
  await fc.assert(
    fc.asyncProperty(piece, fc.constantFrom(1, 0.5, 0.3), async (text, share) => {
      const id = `a/${++count}`;
      const whole = filled(text.toWellFormed());
      const content = whole.slice(0, whole.length * share).toWellFormed();
      await from.call("context_put", { id, content, content_type: "text/plain" });
      const lines: string[] = [];
      for await (const line of exportLines(callerOver(from), id)) lines.push(line);
      writeFileSync(file, `${lines.join("\n")}\n`);
      expect(await importLines(callerOver(to), linesOf(file, AbortSignal.timeout(60_000)))).toMatchObject({
        imported: 1,
      });
      const { content: imported } = await to.call("context_get", { id, format: "text" });
      expect(imported === content).toBe(true);
      for (const core of [from, to]) await core.call("context_purge", { id });
    }),
    {
      seed: SEED,
      numRuns: 10,
      examples: [
        ["\u0001", 1],
        ['"', 1],
      ],
    },
  );
}, 240_000);

test("several writes name one limit, at the leader and through another member", async () => {
  await using pair = await pairFor(member, { limits: { maxDocumentBytes: MAX_DOCUMENT_BYTES } });
  const half = "\u0001".repeat(MAX_DOCUMENT_BYTES / 2);
  const writes = (text: string) =>
    ["a", "b"].map((name) => ({ operation: "context_put", id: `team-a/${name}`, content: text }));
  for (const node of [pair.node(0), pair.node(1)]) {
    const fault = await refusal(ask(node, "context_many", { writes: writes(half) }));
    expect([fault.code, fault.message]).toEqual([
      "too_large",
      expect.stringContaining(`the limit is ${MAX_DOCUMENT_BYTES}`),
    ]);
    const { output } = await ask(node, "context_many", { writes: writes(half.slice(1024)) });
    expect(output["results"]).toHaveLength(2);
  }
}, 120_000);
