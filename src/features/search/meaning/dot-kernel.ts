// The inner loop of scans and of the model: products of one row of 16-bit numbers with many rows of 8-bit numbers. It
// is WebAssembly with SIMD, assembled here, or plain JavaScript where SIMD is missing; both give the same numbers.

/** Numbers of a row are a multiple of this; what is left of a row is 0. */
export const LANES = 16;

/** Memory that the loop works on. Offsets are in bytes. */
export interface Arena {
  /** Another object after `grow`. */
  readonly buffer: ArrayBuffer;
  /** Makes it at least so long. What is in it stays. */
  grow(bytes: number): void;
  /**
   * Writes the product of the `length` 16-bit numbers at `query` with each of `count` rows of as many 8-bit numbers at
   * `rows`, as 32-bit numbers at `out`. `query` and `out` are multiples of 4. Sums beyond 32 bits wrap around.
   */
  dots(query: number, rows: number, count: number, length: number, out: number): void;
}

type DotKernel = Arena["dots"];

const PAGE = 64 * 1024;

/** Returns an arena of at least so many bytes, with SIMD where there is any. */
export function openArena(bytes: number, withSimd = hasSimd()): Arena {
  return withSimd ? simdArena(bytes) : plainArena(bytes);
}

/** Reports whether this machine and engine have SIMD for WebAssembly. */
export function hasSimd(): boolean {
  return WebAssembly.validate(moduleBytes());
}

function simdArena(bytes: number): Arena {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE) });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(moduleBytes()), { env: { memory } });
  const kernel = exports["dots"] as DotKernel;
  return {
    get buffer() {
      return memory.buffer as ArrayBuffer;
    },
    grow(wanted) {
      const pages = Math.ceil((wanted - memory.buffer.byteLength) / PAGE);
      if (pages > 0) memory.grow(pages);
    },
    dots(query, rows, count, length, out) {
      if (count > 0 && length > 0) kernel(query, rows, count, length, out);
    },
  };
}

function plainArena(bytes: number): Arena {
  let buffer = new ArrayBuffer(bytes);
  return {
    get buffer() {
      return buffer;
    },
    grow(wanted) {
      if (wanted > buffer.byteLength) buffer = buffer.transfer(wanted);
    },
    dots(query, rows, count, length, out) {
      const one = new Int16Array(buffer, query, length);
      const many = new Int8Array(buffer, rows, count * length);
      const sums = new Int32Array(buffer, out, count);
      for (let row = 0; row < count; row += 1) {
        const from = row * length;
        let sum = 0;
        for (let at = 0; at < length; at += 1) sum = (sum + (one[at] ?? 0) * (many[from + at] ?? 0)) | 0;
        sums[row] = sum;
      }
    },
  };
}

/** Types and instructions of WebAssembly that the loop needs. */
const I32 = 0x7f;
const V128 = 0x7b;
const get = (local: number) => [0x20, local];
const set = (local: number) => [0x21, local];
const constant = (value: number) => [0x41, value];
const ADD = [0x6a];
const SUB = [0x6b];
const LESS = [0x49];
const LOOP = [0x03, 0x40];
const REPEAT_IF = [0x0d, 0];
const END = [0x0b];
const store = [0x36, 2, 0];
/** The 8-bit numbers at an address as 16-bit ones, and 16-bit numbers at one; both have an offset. */
const load8 = (offset: number) => [0xfd, 0x01, 0, offset];
const load16 = (offset: number) => [0xfd, 0x00, 0, offset];
const SPLAT = [0xfd, 0x11];
const lane = (index: number) => [0xfd, 0x1b, index];
const ADD4 = [0xfd, 0xae, 0x01];
const DOT = [0xfd, 0xba, 0x01];

/** Returns the module: its memory is imported, and it exports `dots`. */
function moduleBytes(): Uint8Array<ArrayBuffer> {
  const [query, rows, count, length, out, at, end, sum] = [0, 1, 2, 3, 4, 5, 6, 7];
  const eight = (offset: number) => [
    ...[...get(rows), ...load8(offset), ...get(at), ...load16(2 * offset), ...DOT],
    ...[...get(sum), ...ADD4, ...set(sum)],
  ];
  const lanes = [0, 1, 2, 3].flatMap((index) => [...get(sum), ...lane(index), ...(index === 0 ? [] : ADD)]);
  const body = [
    ...LOOP,
    ...[...get(rows), ...get(length), ...ADD, ...set(end)],
    ...[...get(query), ...set(at)],
    ...[...constant(0), ...SPLAT, ...set(sum)],
    ...LOOP,
    ...[...eight(0), ...eight(8)],
    ...[...get(at), ...constant(32), ...ADD, ...set(at)],
    ...[...get(rows), ...constant(LANES), ...ADD, ...set(rows)],
    ...[...get(rows), ...get(end), ...LESS, ...REPEAT_IF],
    ...END,
    ...[...get(out), ...lanes, ...store],
    ...[...get(out), ...constant(4), ...ADD, ...set(out)],
    ...[...get(count), ...constant(1), ...SUB, ...set(count)],
    ...[...get(count), ...REPEAT_IF],
    ...END,
  ];
  const locals = [2, 2, I32, 1, V128];
  const code = [...locals, ...body, ...END];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 5, I32, I32, I32, I32, I32, 0]),
    ...section(2, [1, ...name("env"), ...name("memory"), 2, 0, 1]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...name("dots"), 0, 0]),
    ...section(10, [1, ...size(code.length), ...code]),
  ]);
}

function section(id: number, bytes: readonly number[]): number[] {
  return [id, ...size(bytes.length), ...bytes];
}

function name(text: string): number[] {
  return [text.length, ...Buffer.from(text, "latin1")];
}

/** A length below 16,384 as LEB128. */
function size(bytes: number): number[] {
  return bytes < 128 ? [bytes] : [(bytes & 127) | 128, bytes >> 7];
}
