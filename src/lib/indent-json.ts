// Lays out JSON text for reading without changing a token: numbers, escapes and the order of keys stay as they were
// written, which parsing and printing again would not promise.

/**
 * Returns JSON text over several lines, two spaces a level. Other text may be broken oddly; only white space outside of
 * strings ever changes.
 */
export function indentJson(text: string): string {
  const parts: string[] = [];
  let depth = 0;
  const newline = () => `\n${"  ".repeat(depth)}`;
  for (const token of text.match(TOKENS) ?? []) {
    const first = token[0];
    if (first === "{" || first === "[") {
      if (token.length > 1) parts.push(first, token.at(-1) ?? "");
      else {
        depth += 1;
        parts.push(token, newline());
      }
    } else if (first === "}" || first === "]") {
      depth = Math.max(0, depth - 1);
      parts.push(newline(), token);
    } else if (first === ",") parts.push(token, newline());
    else if (first === ":") parts.push(": ");
    else parts.push(token);
  }
  return parts.join("");
}

/** Strings, empty objects and arrays, single marks, and runs of anything else; white space between them is left out. */
const TOKENS = /"(?:[^"\\]|\\.)*"?|\{\s*\}|\[\s*\]|[{}[\],:]|[^\s"{}[\],:]+/gs;
