// A small model of the form of all-MiniLM-L6-v2 with numbers of its own: as an ONNX file, and as a plain forward pass
// in floating point.

const HEAD = 32;
const MATRICES = ["query", "key", "value", "attended", "inner", "output"] as const;
const BIASES = {
  query: "attention.self.query.bias",
  key: "attention.self.key.bias",
  value: "attention.self.value.bias",
  attended: "attention.output.dense.bias",
  inner: "intermediate.dense.bias",
  output: "output.dense.bias",
} as const;

/** 8-bit weights: `rows` inputs by `columns` outputs, with a scale for each output. */
interface Weights {
  rows: number;
  columns: number;
  values: Int8Array;
  scales: Float32Array;
  bias: Float32Array;
}

type Norm = { weight: Float32Array; bias: Float32Array };

export interface Plain {
  width: number;
  words: { rows: number; columns: number; values: Int8Array; scales: Float32Array };
  positions: { rows: number; columns: number; values: Int8Array; scales: Float32Array };
  types: Float32Array;
  norm: Norm;
  layers: readonly (Record<(typeof MATRICES)[number], Weights> & { afterAttention: Norm; afterOutput: Norm })[];
}

/** Returns a model with numbers that depend on its sizes alone. */
export function plainModel(size: {
  layers: number;
  width: number;
  inner: number;
  vocabulary: number;
  positions: number;
}): Plain {
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x7fffffff - 0.5;
  };
  const floats = (count: number, scale: number, around = 0) =>
    Float32Array.from({ length: count }, () => around + scale * next());
  const bytes = (count: number) => Int8Array.from({ length: count }, () => Math.round(254 * next()));
  const table = (rows: number) => ({
    ...{ rows, columns: size.width, values: bytes(rows * size.width) },
    scales: floats(rows, 0.004, 0.01),
  });
  const weights = (rows: number, columns: number): Weights => ({
    ...{ rows, columns, values: bytes(rows * columns) },
    ...{ scales: floats(columns, 0.001, 0.002), bias: floats(columns, 0.5) },
  });
  const norm = (): Norm => ({ weight: floats(size.width, 0.4, 1), bias: floats(size.width, 0.2) });
  return {
    width: size.width,
    words: table(size.vocabulary),
    positions: table(size.positions),
    types: floats(2 * size.width, 0.2),
    norm: norm(),
    layers: Array.from({ length: size.layers }, () => ({
      query: weights(size.width, size.width),
      key: weights(size.width, size.width),
      value: weights(size.width, size.width),
      attended: weights(size.width, size.width),
      inner: weights(size.width, size.inner),
      output: weights(size.inner, size.width),
      afterAttention: norm(),
      afterOutput: norm(),
    })),
  };
}

/** Returns the model as an ONNX file: its numbers alone. */
export function written({ width, words, positions, types, norm, layers }: Plain): Uint8Array {
  const tensors: Buffer[] = [];
  const float = (name: string, values: Float32Array) =>
    tensors.push(tensor(name, [values.length], 1, Buffer.from(values.buffer, values.byteOffset, values.byteLength)));
  const norms = (name: string, { weight, bias }: Norm) => {
    float(`${name}.weight`, weight);
    float(`${name}.bias`, bias);
  };
  tensors.push(tensor("inner.embeddings.token_type_embeddings.weight", [2, width], 1, Buffer.from(types.buffer)));
  norms("inner.embeddings.LayerNorm", norm);
  for (const [index, layer] of layers.entries()) {
    for (const matrix of MATRICES) float(`inner.encoder.layer.${index}.${BIASES[matrix]}`, layer[matrix].bias);
    norms(`inner.encoder.layer.${index}.attention.output.LayerNorm`, layer.afterAttention);
    norms(`inner.encoder.layer.${index}.output.LayerNorm`, layer.afterOutput);
  }
  for (const [name, { rows, columns, values, scales }] of [
    ["word", words],
    ["position", positions],
  ] as const) {
    tensors.push(
      tensor(`inner.embeddings.${name}_embeddings.weight_q`, [rows, columns], 3, Buffer.from(values.buffer)),
    );
    float(`inner.embeddings.${name}_embeddings.weight_scale`, scales);
  }
  for (const [at, { rows, columns, values, scales }] of layers
    .flatMap((layer) => MATRICES.map((matrix) => layer[matrix]))
    .entries()) {
    tensors.push(tensor(`val_${at}_q`, [rows, columns], 3, Buffer.from(values.buffer)));
    float(`val_${at}_scale`, scales);
  }
  const graph = Buffer.concat(tensors.map((each) => field(5, each)));
  return Buffer.concat([Buffer.from([8, 8]), field(7, graph)]);
}

function tensor(name: string, dims: number[], type: number, raw: Buffer): Buffer {
  const numbers = dims.map((dim) => Buffer.concat([Buffer.from([8]), varint(dim)]));
  return Buffer.concat([...numbers, Buffer.from([16, type]), field(8, Buffer.from(name)), field(9, raw)]);
}

function field(id: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([id * 8 + 2]), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) | 128);
  return Buffer.from([...bytes, left]);
}

/** Returns the vector of word pieces, in floating point and as plainly as can be. */
export function plainEmbed(
  { width, words, positions, types, norm, layers }: Plain,
  pieces: readonly number[],
): number[] {
  const at = ({ values, scales }: Plain["words"], row: number, column: number) =>
    (values[row * width + column] ?? 0) * (scales[row] ?? 0);
  const columns = Array.from({ length: width }, (_, column) => column);
  let rows = pieces.map((piece, place) =>
    columns.map((column) => at(words, piece, column) + at(positions, place, column) + (types[column] ?? 0)),
  );
  rows = rows.map((row) => normal(row, norm));
  for (const layer of layers) {
    const [query, key, value] = [layer.query, layer.key, layer.value].map((each) =>
      rows.map((row) => times(row, each)),
    );
    const attended = rows.map((_, one) =>
      columns.map((column) => {
        const head = Math.floor(column / HEAD) * HEAD;
        const products = rows.map((__, other) => {
          const pairs = columns
            .slice(head, head + HEAD)
            .map((i) => (query?.[one]?.[i] ?? 0) * (key?.[other]?.[i] ?? 0));
          return Math.exp(sum(pairs) / Math.sqrt(HEAD));
        });
        const all = sum(products);
        return sum(products.map((product, other) => (product / all) * (value?.[other]?.[column] ?? 0)));
      }),
    );
    rows = rows.map((row, one) => normal(added(times(attended[one] ?? [], layer.attended), row), layer.afterAttention));
    rows = rows.map((row) =>
      normal(added(times(times(row, layer.inner).map(gelu), layer.output), row), layer.afterOutput),
    );
  }
  const mean = columns.map((column) => sum(rows.map((row) => row[column] ?? 0)) / rows.length);
  return mean.map((each) => each / Math.hypot(...mean));
}

function times(row: readonly number[], { columns, values, scales, bias }: Weights): number[] {
  return Array.from({ length: columns }, (_, column) => {
    const products = row.map((each, at) => each * (values[at * columns + column] ?? 0));
    return sum(products) * (scales[column] ?? 0) + (bias[column] ?? 0);
  });
}

function normal(row: readonly number[], { weight, bias }: Norm): number[] {
  const mean = sum(row) / row.length;
  const deviation = Math.sqrt(sum(row.map((each) => (each - mean) ** 2)) / row.length + 1e-12);
  return row.map((each, at) => ((each - mean) / deviation) * (weight[at] ?? 0) + (bias[at] ?? 0));
}

function added(one: readonly number[], other: readonly number[]): number[] {
  return one.map((each, at) => each + (other[at] ?? 0));
}

function sum(all: readonly number[]): number {
  return all.reduce((before, each) => before + each, 0);
}

/** By the series of the error function, which is exact enough for these numbers. */
function gelu(x: number): number {
  const z = x / Math.SQRT2;
  if (Math.abs(z) > 4) return Math.max(x, 0);
  let [term, series] = [z, z];
  for (let n = 1; n < 80; n += 1) {
    term *= (-z * z) / n;
    series += term / (2 * n + 1);
  }
  return (x / 2) * (1 + (2 / Math.sqrt(Math.PI)) * series);
}
