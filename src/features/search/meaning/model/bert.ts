// The forward pass of a small BERT with 8-bit weights, as all-MiniLM-L6-v2 is: numbers of word pieces in, one vector of
// length 1 out. Activations are rounded to 14 bits for each product with the weights; the rest is floating point.

import { Fault } from "../../../../lib/fault.ts";
import { openArena } from "../dot-kernel.ts";
import type { Tensors } from "./tensors.ts";

/** Numbers of one attention head. */
const HEAD = 32;
const EPSILON = 1e-12;
const MAX_ACTIVATION = 8191;
/** The weights of one layer, in the order of the file. */
const MATRICES = ["query", "key", "value", "attention.output", "intermediate", "output"] as const;
const BIASES: Readonly<Record<Matrix, string>> = {
  query: "attention.self.query.bias",
  key: "attention.self.key.bias",
  value: "attention.self.value.bias",
  "attention.output": "attention.output.dense.bias",
  intermediate: "intermediate.dense.bias",
  output: "output.dense.bias",
};

type Matrix = (typeof MATRICES)[number];

/** Weights of a product: `outputs` rows of `inputs` numbers in the arena, a scale and an addend for each row. */
interface Linear {
  at: number;
  inputs: number;
  outputs: number;
  scales: Float32Array;
  addends: Float32Array;
}

interface Norm {
  weights: Float32Array;
  addends: Float32Array;
}

interface Layer extends Record<Matrix, Linear> {
  afterAttention: Norm;
  afterOutput: Norm;
}

/** A loaded model. */
export class Bert {
  readonly #tensors: Tensors;
  readonly #arena;
  readonly #layers: readonly Layer[];
  readonly #embedded: Norm;
  /** Numbers of a vector. */
  readonly width: number;
  /** Place of sums in the arena; the rounded activations are at 0. */
  readonly #sums: number;

  /** Throws Fault `invalid_input` where the numbers are not those of such a model. */
  constructor(tensors: Tensors) {
    this.#tensors = tensors;
    this.#embedded = norm(tensors, "inner.embeddings.LayerNorm");
    this.width = this.#embedded.weights.length;
    const matrices = [...tensors.bytes].filter(([name]) => name.startsWith("val_"));
    if (matrices.length === 0 || matrices.length % MATRICES.length !== 0 || this.width % HEAD !== 0) throw unlike();
    const widest = Math.max(...matrices.flatMap(([, { rows, columns }]) => [rows, columns]));
    this.#sums = 2 * widest;
    const first = this.#sums + 4 * widest;
    this.#arena = openArena(first + matrices.reduce((sum, [, { values }]) => sum + values.length, 0));
    let at = first;
    const linears = matrices.map(([name, { values, rows, columns }]) => {
      const weights = new Int8Array(this.#arena.buffer, at, values.length);
      for (let row = 0; row < rows; row += 1)
        for (let column = 0; column < columns; column += 1)
          weights[column * rows + row] = values[row * columns + column] ?? 0;
      at += values.length;
      const scales = float(tensors, name.replace(/_q$/, "_scale"));
      return { at: at - values.length, inputs: rows, outputs: columns, scales };
    });
    this.#layers = Array.from({ length: linears.length / MATRICES.length }, (_, index) => {
      const prefix = `inner.encoder.layer.${index}`;
      const own = MATRICES.map((matrix, offset) => {
        const found = linears[index * MATRICES.length + offset];
        const addends = float(tensors, `${prefix}.${BIASES[matrix]}`);
        if (found === undefined || addends.length !== found.outputs || found.scales.length !== found.outputs)
          throw unlike();
        return [matrix, { ...found, addends }] as const;
      });
      return {
        ...(Object.fromEntries(own) as Record<Matrix, Linear>),
        afterAttention: norm(tensors, `${prefix}.attention.output.LayerNorm`),
        afterOutput: norm(tensors, `${prefix}.output.LayerNorm`),
      };
    });
  }

  /** Returns the vector of a text that has these word pieces: 1 to as many as the model has positions. */
  embed(pieces: readonly number[]): Float32Array {
    let rows = this.#embeddings(pieces);
    for (const layer of this.#layers) {
      const attended = this.#times(this.#attend(rows, pieces.length, layer), layer["attention.output"]);
      rows = normalized(sum(attended, rows), layer.afterAttention);
      const wide = this.#times(rows, layer.intermediate).map(gelu);
      rows = normalized(sum(this.#times(wide, layer.output), rows), layer.afterOutput);
    }
    return this.#mean(rows);
  }

  #embeddings(pieces: readonly number[]): Float32Array {
    const { width } = this;
    const types = float(this.#tensors, "inner.embeddings.token_type_embeddings.weight");
    const rows = new Float32Array(pieces.length * width);
    for (const [name, indexes] of [
      ["word", pieces],
      ["position", pieces.keys().toArray()],
    ] as const) {
      const table = this.#tensors.bytes.get(`inner.embeddings.${name}_embeddings.weight_q`);
      const scales = float(this.#tensors, `inner.embeddings.${name}_embeddings.weight_scale`);
      if (table === undefined || table.columns !== width) throw unlike();
      for (const [at, index] of indexes.entries()) {
        const scale = scales[index] ?? 0;
        for (let i = 0; i < width; i += 1) {
          const before = rows[at * width + i] ?? 0;
          rows[at * width + i] = before + (table.values[index * width + i] ?? 0) * scale;
        }
      }
    }
    for (let i = 0; i < rows.length; i += 1) rows[i] = (rows[i] ?? 0) + (types[i % width] ?? 0);
    return normalized(rows, this.#embedded);
  }

  /** Multiplies each row with the weights. */
  #times(rows: Float32Array, { at, inputs, outputs, scales, addends }: Linear): Float32Array {
    const count = rows.length / inputs;
    const made = new Float32Array(count * outputs);
    const rounded = new Int16Array(this.#arena.buffer, 0, inputs);
    const sums = new Int32Array(this.#arena.buffer, this.#sums, outputs);
    const most = Math.min(MAX_ACTIVATION, Math.floor((2 ** 31 - 1) / (127 * inputs)));
    for (let row = 0; row < count; row += 1) {
      const from = row * inputs;
      let largest = 0;
      for (let i = 0; i < inputs; i += 1) largest = Math.max(largest, Math.abs(rows[from + i] ?? 0));
      const scale = largest === 0 ? 1 : largest / most;
      for (let i = 0; i < inputs; i += 1) rounded[i] = Math.round((rows[from + i] ?? 0) / scale);
      this.#arena.dots(0, at, outputs, inputs, this.#sums);
      for (let i = 0; i < outputs; i += 1)
        made[row * outputs + i] = (sums[i] ?? 0) * scale * (scales[i] ?? 0) + (addends[i] ?? 0);
    }
    return made;
  }

  #attend(rows: Float32Array, count: number, layer: Layer): Float32Array {
    const { width } = this;
    const [queries, keys, values] = [layer.query, layer.key, layer.value].map((each) => this.#times(rows, each));
    if (queries === undefined || keys === undefined || values === undefined) throw unlike();
    const made = new Float32Array(rows.length);
    const weights = new Float32Array(count);
    for (let head = 0; head < width; head += HEAD) {
      for (let one = 0; one < count; one += 1) {
        for (let other = 0; other < count; other += 1) {
          let product = 0;
          const [a, b] = [one * width + head, other * width + head];
          for (let i = 0; i < HEAD; i += 1) product += (queries[a + i] ?? 0) * (keys[b + i] ?? 0);
          weights[other] = product / Math.sqrt(HEAD);
        }
        softmax(weights);
        for (let other = 0; other < count; other += 1) {
          const [to, from] = [one * width + head, other * width + head];
          const weight = weights[other] ?? 0;
          for (let i = 0; i < HEAD; i += 1) made[to + i] = (made[to + i] ?? 0) + weight * (values[from + i] ?? 0);
        }
      }
    }
    return made;
  }

  /** Returns the mean of all rows, with length 1. */
  #mean(rows: Float32Array): Float32Array {
    const mean = new Float32Array(this.width);
    for (let i = 0; i < rows.length; i += 1) mean[i % this.width] = (mean[i % this.width] ?? 0) + (rows[i] ?? 0);
    const length = Math.hypot(...mean);
    return mean.map((value) => value / length);
  }
}

function float({ floats }: Tensors, name: string): Float32Array {
  const found = floats.get(name);
  if (found === undefined) throw unlike();
  return found;
}

function norm(tensors: Tensors, name: string): Norm {
  return { weights: float(tensors, `${name}.weight`), addends: float(tensors, `${name}.bias`) };
}

function sum(one: Float32Array, other: Float32Array): Float32Array {
  return one.map((value, at) => value + (other[at] ?? 0));
}

/** Gives each row mean 0 and variance 1, then weights and addends. */
function normalized(rows: Float32Array, { weights, addends }: Norm): Float32Array {
  const width = weights.length;
  for (let from = 0; from < rows.length; from += width) {
    const row = rows.subarray(from, from + width);
    let mean = 0;
    for (const value of row) mean += value / width;
    let variance = 0;
    for (const value of row) variance += (value - mean) ** 2 / width;
    const deviation = Math.sqrt(variance + EPSILON);
    for (let i = 0; i < width; i += 1)
      row[i] = (((row[i] ?? 0) - mean) / deviation) * (weights[i] ?? 0) + (addends[i] ?? 0);
  }
  return rows;
}

function softmax(weights: Float32Array): void {
  let most = Number.NEGATIVE_INFINITY;
  for (const weight of weights) most = Math.max(most, weight);
  let sum = 0;
  for (let i = 0; i < weights.length; i += 1) {
    weights[i] = Math.exp((weights[i] ?? 0) - most);
    sum += weights[i] ?? 0;
  }
  for (let i = 0; i < weights.length; i += 1) weights[i] = (weights[i] ?? 0) / sum;
}

function gelu(x: number): number {
  return (x / 2) * (1 + errorFunction(x * Math.SQRT1_2));
}

/** The error function by Abramowitz and Stegun 7.1.26, to 1.5e-7. */
function errorFunction(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const terms = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - terms * Math.exp(-x * x));
}

function unlike(): Fault {
  return new Fault("invalid_input", "The model is none that this build knows", {
    hint: "Install it again: `cairn search model install`.",
  });
}
