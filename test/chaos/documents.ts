// The documents of a load: JSON objects whose members name the writes that made them, in their order. A patch adds one
// member, in any of the forms of context_patch with the same result, so the text after each write can be computed.

/** Forms of a patch. */
export const FORMATS = ["edit", "json-patch", "merge"] as const;

export interface Patch {
  format: (typeof FORMATS)[number];
  body: unknown;
}

/** Returns the first 12 hex digits of the SHA-256, as in ETags and in the checker. */
export function hashOf(content: string): string {
  return new Bun.CryptoHasher("sha256").update(content).digest("hex").slice(0, 12);
}

/** Returns the document of the write `token`, with so many letters beside it. */
export function textOf(token: string, padding = 0): string {
  return JSON.stringify({ [token]: 1, pad: "x".repeat(padding) });
}

/** Returns the document after the patch `token`. */
export function patched(text: string, token: string): string {
  return `${text.slice(0, -1)},${memberOf(token)}}`;
}

/** Reports whether the write `token` is in a document. */
export function has(text: string, token: string): boolean {
  return text.includes(memberOf(token));
}

/** Returns the patch `token`; with `needs` it is refused if the document lacks that one, which a merge cannot say. */
export function patchOf(format: Patch["format"], token: string, needs?: string): Patch {
  switch (format) {
    case "merge":
      return { format, body: { [token]: 1 } };
    case "json-patch": {
      const test = needs === undefined ? [] : [{ op: "test", path: `/${needs}`, value: 1 }];
      return { format, body: [...test, { op: "add", path: `/${token}`, value: 1 }] };
    }
    case "edit": {
      const test = needs === undefined ? [] : [{ op: "replace", old_text: memberOf(needs), new_text: memberOf(needs) }];
      return { format, body: [...test, { op: "replace", old_text: "}", new_text: `,${memberOf(token)}}` }] };
    }
  }
}

function memberOf(token: string): string {
  return `${JSON.stringify(token)}:1`;
}
