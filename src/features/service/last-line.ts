// The line of a program's output that says why it ended: it becomes the reason of a failed start.

/** What runtimes print last of all when an error ends a program. */
const AFTERWORD = /^(?:(?:Node\.js|Bun) v\d|note: run with `RUST_BACKTRACE)/;
/** Errors of JavaScript, at the beginning of a line. */
const ERROR_LINE = /^(?:Uncaught )?(?:\w*Error(?: \[\w+\])?|error): /;
/** Where Go begins to print the stacks of its goroutines, and what it says before. */
const GOROUTINE = /^goroutine \d+ \[/;
const GO_PANIC = /^(?:panic|fatal error): /;

/** Returns the last line, or the error above it where the runtime writes its stack or its version after that; or "". */
export function lastLineOf(output: string): string {
  const lines = output.trimEnd().split("\n");
  const last = lines.at(-1) ?? "";
  if (lines.some((line) => GOROUTINE.test(line))) return lines.findLast((line) => GO_PANIC.test(line)) ?? last;
  if (!AFTERWORD.test(last)) return last.trim();
  const above = lines.slice(0, -1).filter((line) => line.trim() !== "");
  return (
    above.findLast((line) => ERROR_LINE.test(line)) ??
    (last.startsWith("note:") ? above.at(-1) : last) ??
    last
  ).trim();
}
