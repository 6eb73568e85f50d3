// Text as it was written: documents, and what a program has written so far.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";
import { sizeText } from "../lib/byte-size.ts";
import { Fault } from "../lib/fault.ts";
import { Refused, Words } from "./text.tsx";

/** Text by callers with its line ends. */
export function Written({ text }: { text: string }) {
  return (
    <pre class="document">
      <Words text={text} block />
    </pre>
  );
}

/** What a program has written. */
export interface Output {
  /** The end of it, where all is too long. */
  output: string;
  /** Bytes in all. */
  bytes: number;
  /** Why there is nothing to show. */
  note?: string | undefined;
}

/** Output, or why there is none. `about` says in words whose it is, or where the whole is; `isCut`: it is the end. */
export function WrittenOutput({
  output,
  about,
}: {
  output: Output | Fault;
  about: (isCut: boolean, size: string) => Child;
}) {
  if (output instanceof Fault) return <Refused fault={output} />;
  const { output: text, bytes, note } = output;
  if (note !== undefined) {
    return (
      <p class="empty">
        <Words text={note} />
      </p>
    );
  }
  if (bytes === 0) return <p class="empty">It has written nothing.</p>;
  return (
    <>
      {about(bytes > Buffer.byteLength(text), sizeText(bytes))}
      <Written text={text} />
    </>
  );
}
