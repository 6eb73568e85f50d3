// The bytes of raft.sock, by the vectors that the Go half is held to as well; streams that are cut anywhere; and frames
// that cannot be.

import { expect, test } from "bun:test";
import vectors from "../../native/testdata/raft/frames.json" with { type: "json" };
import {
  aliveFrame,
  answerFrame,
  appliedFrame,
  eraseFrame,
  FrameReader,
  helloFrame,
  proposeFrame,
  type RaftFrame,
} from "../../src/log/engine/raft/frames.ts";

const SERVER = "00112233445566778899aabbccddeeff";

test("frames to the Go half have their bytes", () => {
  const made = {
    hello: helloFrame({ index: 258, term: 3, server: SERVER }),
    propose: proposeFrame(7, Buffer.from("entry")),
    barrier: proposeFrame(8, new Uint8Array()),
    applied: appliedFrame(2 ** 40),
    alive: aliveFrame(""),
    successor: aliveFrame(SERVER),
    erase: eraseFrame(9),
    answer: answerFrame(5, { ok: { applied: 9 } }),
  };
  for (const [name, frame] of Object.entries(made))
    expect([name, Buffer.from(frame).toString("hex")]).toEqual([name, vectors[name as keyof typeof made]]);
});

const COMING: readonly [keyof typeof vectors, RaftFrame][] = [
  ["welcome", { type: "welcome", server: SERVER }],
  [
    "committed",
    {
      type: "committed",
      previous: 7,
      entries: [
        { index: 9, term: 2, bytes: Buffer.from("abc") },
        { index: 11, term: 3, bytes: Buffer.alloc(0) },
      ],
    },
  ],
  ["proposed", { type: "proposed", ticket: 7, index: 9, term: 2 }],
  ["refused", { type: "refused", ticket: 7, reason: "unknown" }],
  ["replaced", { type: "refused", ticket: 7, reason: "replaced" }],
  ["leadership", { type: "leadership", leading: true, leader: "ab", term: 2 }],
  ["ask", { type: "ask", request: 5, ask: { do: "mark", server: "ab", index: 9, term: 2 } }],
  ["fatal", { type: "fatal", code: "quarantine", message: "why" }],
  ["erased", { type: "erased", index: 9, reason: "" }],
  ["not erased", { type: "erased", index: 9, reason: "why" }],
];

test("frames of the Go half are read, wherever the stream is cut", () => {
  const stream = Buffer.concat(COMING.map(([name]) => Buffer.from(vectors[name], "hex")));
  const want = COMING.map(([, frame]) => frame);
  for (let size = 1; size <= stream.byteLength; size += size < 40 ? 1 : 97) {
    const reader = new FrameReader();
    const seen: RaftFrame[] = [];
    for (let at = 0; at < stream.byteLength; at += size) seen.push(...reader.push(stream.subarray(at, at + size)));
    expect(seen).toEqual(want);
  }
});

test("what cannot be a frame is an error", () => {
  for (const hex of [
    "0000000010",
    "ffffffff10",
    "0000000163",
    "00000021110000000000000000000000010000000000000009000000000000000200000003",
  ])
    expect(() => new FrameReader().push(Buffer.from(hex, "hex"))).toThrow();
});
