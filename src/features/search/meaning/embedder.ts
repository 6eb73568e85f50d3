// What makes vectors of texts: a service, or the model in a child process.

/** Makes vectors. */
export interface Embedder {
  /** Of what its vectors are: those of another identity cannot be compared with them. */
  readonly identity: string;
  /** The model, for people. */
  readonly model: string;
  /** Characters of one text that it makes use of. */
  readonly chars: number;
  /** Texts that it takes at once. */
  readonly batch: number;
  /** Reports whether it is known not to respond now. */
  readonly isResting: boolean;
  /**
   * Returns a vector for each text: finite numbers, equally many, not all 0. Rejects with a Fault; `RequestRefused`
   * says that other texts may succeed.
   */
  embed(texts: readonly string[], deadlineMs: number, signal: AbortSignal): Promise<Float32Array[]>;
  /** Ends what it keeps running. It may be used again. */
  close(): Promise<void>;
}

/** Returns vectors that were made for so many texts, as numbers. Throws an error that says what is wrong with them. */
export function checkedVectors(made: readonly (readonly number[] | Float32Array)[], texts: number): Float32Array[] {
  if (made.length !== texts) throw new RangeError(`${made.length} vectors for ${texts} texts`);
  return made.map((numbers) => {
    const vector = Float32Array.from(numbers);
    if (vector.length === 0 || vector.length !== made[0]?.length) throw new RangeError("vectors of different lengths");
    if (vector.length > MAX_WIDTH) throw new RangeError(`a vector of more than ${MAX_WIDTH} numbers`);
    if (!vector.every(Number.isFinite)) throw new RangeError("a number that is not finite");
    if (vector.every((value) => value === 0)) throw new RangeError("a vector of zeros");
    return vector;
  });
}

const MAX_WIDTH = 4096;
