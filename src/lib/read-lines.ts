// Splits a stream into lines of bounded length.

/**
 * Yields the lines of a stream without their line ends, and undefined for a line of more than `maxChars` characters.
 * Ends with the stream, or at once when the signal aborts.
 */
export async function* readLines(
  source: AsyncIterable<Uint8Array | string>,
  signal: AbortSignal,
  maxChars: number,
): AsyncGenerator<string | undefined> {
  const decoder = new TextDecoder();
  const chunks = source[Symbol.asyncIterator]();
  const aborted = Promise.withResolvers<{ done: true; value: undefined }>();
  const stop = () => aborted.resolve({ done: true, value: undefined });
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  let parts: string[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await Promise.race([chunks.next(), aborted.promise]);
      if (done || value === undefined) break;
      const lines = (typeof value === "string" ? value : decoder.decode(value, { stream: true })).split("\n");
      for (const [index, text] of lines.entries()) {
        if (index > 0) {
          yield length > maxChars ? undefined : parts.join("");
          parts = [];
          length = 0;
        }
        length += text.length;
        if (length <= maxChars) parts.push(text);
        else parts = [];
      }
    }
    if (length > 0 && !signal.aborted) yield length > maxChars ? undefined : parts.join("");
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
