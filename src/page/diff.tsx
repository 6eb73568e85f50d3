// The difference of two texts: lines that came in one colour, lines that went in another, each with its sign.
/** @jsxImportSource hono/jsx */

import { Words } from "./text.tsx";

/** More lines than this are not shown. */
const MAX_LINES = 5000;

/** What became of a line; "where" and "quiet" are lines about others. */
export type LineKind = "come" | "gone" | "where" | "quiet" | "";

/** Returns the kind of a line of a unified diff. */
export function unifiedKind(line: string): LineKind {
  if (line.startsWith("@@")) return "where";
  if (line.startsWith("+++") || line.startsWith("---")) return "quiet";
  return line.startsWith("+") ? "come" : line.startsWith("-") ? "gone" : "";
}

/** The lines of a diff. */
export function DiffLines({ lines, kindOf }: { lines: readonly string[]; kindOf: (line: string) => LineKind }) {
  if (lines.length === 0 || (lines.length === 1 && lines[0] === ""))
    return <p class="empty">The versions are equal.</p>;
  return (
    <>
      <pre class="document diff">
        {lines.slice(0, MAX_LINES).map((line) => (
          <span class={kindOf(line)}>
            <Words block text={line} />
            {"\n"}
          </span>
        ))}
      </pre>
      {lines.length > MAX_LINES ? <p class="quiet">{lines.length - MAX_LINES} more lines are not shown.</p> : null}
    </>
  );
}
