// The flat list of vectors: SIMD and plain JavaScript give the numbers of a loop by hand, and the order is that of a
// plain sort, whatever was added and removed before and meanwhile.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { hasSimd, LANES, openArena } from "../../src/features/search/meaning/dot-kernel.ts";
import { type Near, rounded, Vectors } from "../../src/features/search/meaning/vectors.ts";

const SEED = Number(process.env["CAIRN_TEST_SEED"] ?? 20_261_129);
const never = new AbortController().signal;

test("SIMD is there on the machines of the tests, and equals plain JavaScript and a loop by hand", () => {
  console.log(`seed ${SEED}`);
  expect(hasSimd()).toBe(true);
  const numbers = (most: number, count: number) =>
    fc.array(fc.oneof(fc.integer({ min: -most, max: most }), fc.constantFrom(-most, most)), {
      minLength: count,
      maxLength: count,
    });
  const shape = fc.record({ blocks: fc.integer({ min: 1, max: 6 }), rows: fc.integer({ min: 0, max: 9 }) });
  const input = shape.chain(({ blocks, rows }) =>
    fc.record({
      query: numbers(8191, blocks * LANES),
      rows: fc.array(numbers(127, blocks * LANES), { minLength: rows, maxLength: rows }),
    }),
  );
  fc.assert(
    fc.property(input, ({ query, rows }) => {
      const length = query.length;
      const [out, at] = [2 * length, 2 * length + 64];
      const made = [true, false].map((withSimd) => {
        const arena = openArena(128, withSimd);
        arena.grow(at + rows.length * length);
        new Int16Array(arena.buffer, 0, length).set(query);
        new Int8Array(arena.buffer, at, rows.length * length).set(rows.flat());
        arena.dots(0, at, rows.length, length, out);
        return [...new Int32Array(arena.buffer, out, rows.length)];
      });
      const byHand = rows.map((row) => row.reduce((sum, value, index) => sum + value * (query[index] ?? 0), 0));
      expect(made).toEqual([byHand, byHand]);
    }),
    { seed: SEED, numRuns: 300 },
  );
});

test("an arena keeps what is in it when it grows", () => {
  for (const withSimd of [true, false]) {
    const arena = openArena(64, withSimd);
    new Uint8Array(arena.buffer)[7] = 42;
    arena.grow(1_000_000);
    expect(arena.buffer.byteLength).toBeGreaterThanOrEqual(1_000_000);
    expect(new Uint8Array(arena.buffer)[7]).toBe(42);
  }
});

interface Row {
  seq: number;
  space: string;
  vectors: Int8Array[];
}

/** The order by a plain sort. */
function expected(rows: readonly Row[], query: Int8Array, spaces: readonly string[]): Near[] {
  const cosine = (one: Int8Array) => {
    const dot = one.reduce((sum, value, at) => sum + value * (query[at] ?? 0), 0);
    return Math.fround(dot / (length(one) * length(query)));
  };
  return rows
    .filter(({ space }) => spaces.includes(space))
    .map(({ seq, vectors }) => {
      const all = vectors.map((each, piece) => ({ seq, piece, cosine: cosine(each) }));
      return all.sort((a, b) => b.cosine - a.cosine || a.piece - b.piece)[0] as Near;
    })
    .sort((a, b) => b.cosine - a.cosine || b.seq - a.seq);
}

function length(vector: Int8Array): number {
  return Math.fround(Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0)));
}

async function nearest(vectors: Vectors, query: Int8Array, spaces: readonly string[]): Promise<Near[]> {
  return vectors.scan(
    query,
    (space) => spaces.includes(space),
    never,
    (scan) => Array.fromAsync(scan.nearest()),
  );
}

test("the order is that of a plain sort, after any additions and removals", async () => {
  const width = 5;
  const vector = fc
    .array(fc.integer({ min: -3, max: 3 }), { minLength: width, maxLength: width })
    .filter((all) => all.some((value) => value !== 0))
    .map((all) => Int8Array.from(all));
  const step = fc.oneof(
    fc.record({ space: fc.constantFrom("a", "b", "c"), vectors: fc.array(vector, { minLength: 1, maxLength: 3 }) }),
    fc.record({ remove: fc.nat() }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 120 }),
      vector,
      fc.subarray(["a", "b", "c"]),
      fc.boolean(),
      async (steps, query, spaces, withSimd) => {
        const vectors = new Vectors(width, withSimd);
        let rows: Row[] = [];
        for (const [at, each] of steps.entries()) {
          if ("remove" in each) {
            const gone = rows[each.remove % Math.max(1, rows.length)];
            rows = rows.filter((row) => row !== gone);
            if (gone !== undefined) vectors.remove(gone.seq);
          } else {
            rows.push({ seq: at + 1, ...each });
            vectors.add(at + 1, each.space, each.vectors);
          }
        }
        const [found, wanted] = [await nearest(vectors, query, spaces), expected(rows, query, spaces)];
        expect(found.map(({ seq }) => seq)).toHaveLength(wanted.length);
        for (const [at, { cosine }] of found.entries()) expect(cosine).toBeCloseTo(wanted[at]?.cosine ?? 9, 5);
        expect(vectors.rows).toBe(rows.length);
      },
    ),
    { seed: SEED, numRuns: 150 },
  );
});

test("more rows than are put in order at once come in order, each once", async () => {
  const vectors = new Vectors(2);
  const angle = (at: number) => rounded(Float32Array.from([Math.cos(at / 1000), Math.sin(at / 1000)]));
  for (let at = 0; at < 1500; at += 1) vectors.add(at + 1, "a", [angle((at * 7) % 1500), angle((at * 7) % 1500)]);
  const found = await nearest(vectors, angle(0), ["a"]);
  expect(found).toHaveLength(1500);
  expect(new Set(found.map(({ seq }) => seq)).size).toBe(1500);
  const cosines = found.map(({ cosine }) => cosine);
  expect(cosines).toEqual(cosines.toSorted((a, b) => b - a));
});

test("a row that is removed during a scan does not come, nor does one that takes its place", async () => {
  const vectors = new Vectors(2);
  const one = Int8Array.from([1, 0]);
  for (let seq = 1; seq <= 4; seq += 1) vectors.add(seq, "a", [one]);
  const found = await vectors.scan(
    one,
    () => true,
    never,
    async (scan) => {
      vectors.remove(4);
      vectors.add(5, "secret", [one]);
      const near = await Array.fromAsync(scan.nearest());
      expect([scan.cosineOf(4), scan.cosineOf(5), scan.cosineOf(3)]).toEqual([undefined, undefined, 1]);
      return near.map(({ seq }) => seq);
    },
  );
  expect(found).toEqual([3, 2, 1]);
  vectors.add(6, "a", [one]);
  expect((await nearest(vectors, one, ["a"])).map(({ seq }) => seq)).toEqual([6, 3, 2, 1]);
});

test("a vector without a direction is refused, and rounding keeps the direction", () => {
  expect(() => rounded(new Float32Array(4))).toThrow("direction");
  expect(() => rounded(Float32Array.from([1, Number.NaN]))).toThrow("direction");
  expect(() => rounded(Float32Array.from([1, Number.POSITIVE_INFINITY]))).toThrow("direction");
  expect([...rounded(Float32Array.from([0.5, -0.25, 0]))]).toEqual([127, -63, 0]);
});
