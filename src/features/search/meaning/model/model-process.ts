// The child process that makes vectors: texts come as lines of JSON on stdin, vectors go as lines to stdout. It ends
// with its stdin, so it outlives no node.

import { Fault, type WrittenFault, writeFault } from "../../../../lib/fault.ts";
import { parseJson } from "../../../../lib/json-text.ts";
import { readLines } from "../../../../lib/read-lines.ts";
import { Bert } from "./bert.ts";
import { readModel } from "./model-files.ts";
import { readTensors } from "./tensors.ts";
import { wordPieces } from "./word-pieces.ts";

/** Most word pieces of a text: what is beyond them has no effect. */
const MAX_WORD_PIECES = 256;
/** Bytes of a line. */
export const MAX_LINE_BYTES = 1024 * 1024;

/** A line to the child. */
export interface EmbedRequest {
  texts: readonly string[];
}

/** A line from the child: vectors as base64 of 32-bit numbers. The first one, with none, says that it is ready. */
export type EmbedResponse = { vectors: readonly string[] } | { fault: WrittenFault };

/** Serves with the model of a file until the end of `input`. `write` sends a line. */
export function serveModel(
  path: string,
  input: AsyncIterable<Uint8Array | string>,
  write: (response: EmbedResponse) => void,
): Promise<void> {
  return serve(() => new Bert(readTensors(readModel(path))), input, write);
}

/** Serves with a model. */
export async function serve(
  load: () => Bert,
  input: AsyncIterable<Uint8Array | string>,
  write: (response: EmbedResponse) => void,
): Promise<void> {
  try {
    const model = load();
    write({ vectors: [] });
    for await (const line of readLines(input, new AbortController().signal, MAX_LINE_BYTES)) {
      if (line instanceof Fault) throw line;
      const { texts } = parseJson(line, "a line") as EmbedRequest;
      write({ vectors: texts.map((text) => encoded(model.embed(wordPieces(text, MAX_WORD_PIECES)))) });
    }
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    write({ fault: writeFault(error) });
  }
}

function encoded({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("base64");
}
