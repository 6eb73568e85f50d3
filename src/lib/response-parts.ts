// What is read of a response of others: the first bytes of its body, and how long it asks to wait.

/** Reads at least `bytes` of a body, or what comes before `signal` aborts, and ends the connection. */
export async function readBeginning(response: Response, bytes: number, signal: AbortSignal): Promise<Buffer> {
  const reader = response.body?.getReader();
  if (reader === undefined) return Buffer.alloc(0);
  const parts: Uint8Array[] = [];
  let size = 0;
  const cancel = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", cancel, { once: true });
  try {
    while (size < bytes) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      size += value.byteLength;
    }
  } catch {
    // What came is enough: the status is known.
  }
  signal.removeEventListener("abort", cancel);
  cancel();
  return Buffer.concat(parts);
}

/**
 * Returns how long a response asks to wait by `Retry-After` (RFC 9110 10.2.3), in ms: seconds, or a date, from which
 * less than 0 may be left. NaN: neither; undefined: it has none.
 */
export function retryAfterMs(headers: Headers, nowMs: number): number | undefined {
  const text = headers.get("retry-after")?.trim() ?? "";
  if (text === "") return undefined;
  const seconds = Number(text);
  return Number.isNaN(seconds) ? Date.parse(text) - nowMs : seconds * 1000;
}
