// The model: word pieces as the tokenizer of all-MiniLM-L6-v2 makes them, and the forward pass of a small model of the
// same form against a plain one in floating point.

import { describe, expect, test } from "bun:test";
import { Bert } from "../../src/features/search/meaning/model/bert.ts";
import { readTensors } from "../../src/features/search/meaning/model/tensors.ts";
import { wordPieces } from "../../src/features/search/meaning/model/word-pieces.ts";
import { type Plain, plainEmbed, plainModel, written } from "../kit/small-model.ts";

const KNOWN: [string, number[]][] = [
  ["How do I release the build?", [101, 2129, 2079, 1045, 2713, 1996, 3857, 1029, 102]],
  [
    "\u00dcbergr\u00f6\u00dfentr\u00e4ger im Caf\u00e9 \u2014 na\u00efve d\u00e9j\u00e0-vu",
    [101, 19169, 16523, 2080, 17499, 3372, 24449, 2099, 10047, 7668, 1517, 15743, 2139, 3900, 1011, 24728, 102],
  ],
  [
    "\u30c7\u30fc\u30bf\u30d9\u30fc\u30b9 is a \u4e2d\u6587 database",
    [101, 1713, 30265, 30235, 30247, 30265, 30233, 2003, 1037, 1746, 1861, 7809, 102],
  ],
  [
    "const appendVersion = write_head(HTTPServer, x[3]);",
    [
      101, 9530, 3367, 10439, 10497, 27774, 1027, 4339, 1035, 2132, 1006, 16770, 2121, 6299, 1010, 1060, 1031, 1017,
      1033, 1007, 1025, 102,
    ],
  ],
  ["a", [101, 1037, 102]],
  [
    "\tfoo\u200bbar\u0000 baz\u00a0qux \ud83d\ude00 \ud83c\udf89 x\tfoo\u200bbar\u0000 baz\u00a0qux \ud83d\ude00 \ud83c\udf89 x\tfoo\u200bbar\u0000 baz\u00a0qux \ud83d\ude00 \ud83c\udf89 x",
    [
      101, 29379, 8237, 8670, 2480, 24209, 2595, 100, 100, 1060, 29379, 8237, 8670, 2480, 24209, 2595, 100, 100, 1060,
      29379, 8237, 8670, 2480, 24209, 2595, 100, 100, 1060, 102,
    ],
  ],
  [
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx y",
    [101, 100, 1061, 102],
  ],
  ["na\u00efve \u0130stanbul \u01c5 \ufb01 \u00bd \u2460", [101, 15743, 9960, 100, 1984, 1092, 100, 102]],
];

describe("word pieces", () => {
  // Made by `tokenizers` 0.22 with the tokenizer.json of the model.
  test.each(KNOWN)("of %s", (text, pieces) => {
    expect(wordPieces(text, 256)).toEqual(pieces);
  });

  test("of a long text end where they should", () => {
    expect(wordPieces("word ".repeat(1000), 16)).toEqual([101, ...new Array(14).fill(2773), 102]);
    expect(wordPieces("", 16)).toEqual([101, 102]);
  });
});

describe("the forward pass", () => {
  const model = plainModel({ layers: 2, width: 64, inner: 128, vocabulary: 50, positions: 24 });
  const bert = new Bert(readTensors(written(model)));

  test("equals a plain one", () => {
    for (const pieces of [[1], [1, 2, 3], [7, 7, 7, 7], Array.from({ length: 24 }, (_, at) => (at * 13) % 50)]) {
      const [made, wanted] = [bert.embed(pieces), plainEmbed(model, pieces)];
      expect(Math.hypot(...made)).toBeCloseTo(1, 5);
      expect(cosine(made, wanted)).toBeGreaterThan(0.9999);
    }
    expect(cosine(bert.embed([1, 2, 3]), plainEmbed(model, [3, 2, 1]))).toBeLessThan(0.9999);
  });

  test("refuses files that are no model, or another one", () => {
    const file = written(model);
    for (const bytes of [new Uint8Array(), file.subarray(0, 1000), Buffer.from("PK\u0003\u0004 no model at all")])
      expect(() => new Bert(readTensors(bytes))).toThrow(expect.objectContaining({ code: "invalid_input" }));
    const without: Plain = { ...model, layers: model.layers.slice(0, 1) };
    expect(new Bert(readTensors(written(without))).embed([1])).toHaveLength(64);
    for (let at = 0; at < 400; at += 1) {
      const cut = file.slice();
      cut[(at * 97) % 4000] = (at * 31) % 256;
      try {
        new Bert(readTensors(cut)).embed([1, 2]);
      } catch (error) {
        expect(error).toMatchObject({ code: "invalid_input" });
      }
    }
  });
});

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, one, other] = [0, 0, 0];
  for (let at = 0; at < a.length; at += 1) {
    dot += (a[at] ?? 0) * (b[at] ?? 0);
    one += (a[at] ?? 0) ** 2;
    other += (b[at] ?? 0) ** 2;
  }
  return dot / Math.sqrt(one * other);
}
