// The loop of the JavaScript drivers: reads a JSON object from each line of stdin, lets the client do it, and prints
// what came of it as one line. A client names its operations by the functions that it has.

import { createInterface } from "node:readline";

const UPDATE_MS = 10_000;

/** Returns the texts of a result, as a model gets them. */
export function textOf(content) {
  return content.map(({ text }) => text ?? "").join("\n");
}

/** The URIs of notifications, one at a time. */
export class Updates {
  #uris = [];
  #wake = () => {};

  put(uri) {
    this.#uris.push(uri);
    this.#wake();
  }

  async next() {
    const late = AbortSignal.timeout(UPDATE_MS);
    while (this.#uris.length === 0) {
      late.throwIfAborted();
      await new Promise((resolve) => {
        this.#wake = resolve;
        late.addEventListener("abort", resolve, { once: true });
      });
    }
    return { uri: this.#uris.shift() };
  }
}

/** Cancels a call that has not ended by then. */
export async function cancelAfter(ms, call) {
  const abort = new AbortController();
  const late = setTimeout(() => abort.abort(), ms);
  try {
    const result = await call(abort.signal);
    throw new Error(`the call ended by itself: ${JSON.stringify(result)}`);
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    return {};
  } finally {
    clearTimeout(late);
  }
}

/** Reads requests until stdin ends. */
export async function serve(operations) {
  console.log(JSON.stringify({ ready: true }));
  for await (const line of createInterface({ input: process.stdin })) {
    const { op, ...request } = JSON.parse(line);
    const run = operations[op];
    const result =
      run === undefined
        ? { unsupported: true }
        : await run(request).catch((error) => ({ failed: `${error?.name}: ${error?.message}` }));
    console.log(JSON.stringify(result));
  }
  process.exit(0);
}
