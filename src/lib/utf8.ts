// Reads bytes that must be UTF-8. A decoder that puts U+FFFD in place of other bytes would change a text without a
// report, so every door refuses them (security.md 22).

import { Fault } from "./fault.ts";

/** How far the first wrong byte is looked for: the search is slow, and any caller can ask for it. */
const MAX_SEARCHED_BYTES = 64 * 1024;

/**
 * Returns the text of UTF-8 bytes, a byte order mark at the start included. Throws Fault `invalid_input` for other
 * bytes; `what` names them in the message, such as "The body".
 */
export function textOfUtf8(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw notUtf8(bytes, what);
  }
}

/** Returns a text without the byte order mark that some editors and shells put before it. JSON has none. */
export function withoutBom(text: string): string {
  return text.startsWith("\uFEFF") ? text.slice(1) : text;
}

function notUtf8(bytes: Uint8Array, what: string): Fault {
  const isUtf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  return new Fault("invalid_input", `${what} is not UTF-8: ${firstProblem(bytes)}`, {
    hint: isUtf16 ? "It looks like UTF-16; save or send it as UTF-8." : "Send UTF-8 text.",
  });
}

/** Says where the first byte is that no UTF-8 text has there. */
function firstProblem(bytes: Uint8Array): string {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const searched = bytes.subarray(0, MAX_SEARCHED_BYTES);
  for (const [at, byte] of searched.entries()) {
    try {
      decoder.decode(searched.subarray(at, at + 1), { stream: true });
    } catch {
      return `byte 0x${byte.toString(16).padStart(2, "0")} at offset ${at}`;
    }
  }
  return searched.length < bytes.length ? `after the first ${searched.length} bytes` : "its last character is cut off";
}

/** Throws Fault `invalid_input` for a query whose percent-encoded bytes are not UTF-8. */
export function refuseForeignQuery(query: string): void {
  for (const [run] of query.matchAll(/(?:%[0-9A-Fa-f]{2})+/g)) {
    try {
      decodeURIComponent(run);
    } catch {
      throw new Fault("invalid_input", `The query is not UTF-8: ${JSON.stringify(run.slice(0, 100))}`, {
        hint: "Percent-encode values as UTF-8.",
      });
    }
  }
}
