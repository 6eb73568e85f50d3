// The difference of two texts as a unified diff: Myers' greedy algorithm over lines within a fixed amount of work; beyond it, everything between the equal ends is replaced.

/** Unchanged lines shown around a change. */
const CONTEXT = 3;
/** Inner steps and differing lines that are spent on a small answer. */
const MAX_STEPS = 4_000_000;
const MAX_DISTANCE = 1000;

export interface TextDiff {
  /** Hunks as `diff -u` writes them, without file names; "" for equal texts. */
  text: string;
  /** The answer is right, but not small: the texts differ too much. */
  coarse: boolean;
}

interface Edit {
  kind: " " | "-" | "+";
  line: string;
}

/** The unified diff from one text to another. Deterministic and bounded in work, not in time. */
export function diffText(from: string, to: string): TextDiff {
  if (from === to) return { text: "", coarse: false };
  const old = linesOf(from);
  const now = linesOf(to);
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start++;
  let end = 0;
  while (
    end < old.length - start &&
    end < now.length - start &&
    old[old.length - 1 - end] === now[now.length - 1 - end]
  )
    end++;
  const oldMiddle = old.slice(start, old.length - end);
  const newMiddle = now.slice(start, now.length - end);
  const found = myers(oldMiddle, newMiddle);
  const middle = found ?? [...edits("-", oldMiddle), ...edits("+", newMiddle)];
  const all = [...edits(" ", old.slice(Math.max(0, start - CONTEXT), start)), ...middle];
  all.push(...edits(" ", old.slice(old.length - end, old.length - end + CONTEXT)));
  const skipped = Math.max(0, start - CONTEXT);
  return { text: hunks(all, skipped), coarse: found === undefined };
}

/** Lines with their line ends; the last may have none. */
function linesOf(text: string): string[] {
  return text === "" ? [] : text.split(/(?<=\n)/);
}

function edits(kind: Edit["kind"], lines: readonly string[]): Edit[] {
  return lines.map((line) => ({ kind, line }));
}

/** The shortest edit script, or undefined when it costs too much to find. */
function myers(old: readonly string[], now: readonly string[]): Edit[] | undefined {
  const limit = Math.min(old.length + now.length, MAX_DISTANCE);
  const trace: Int32Array[] = [];
  const furthest = new Int32Array(2 * limit + 3);
  let steps = 0;
  for (let distance = 0; distance <= limit; distance++) {
    trace.push(furthest.slice());
    for (let diagonal = -distance; diagonal <= distance; diagonal += 2) {
      let x = comesFromAbove(furthest, limit, diagonal, distance)
        ? at(furthest, limit, diagonal + 1)
        : at(furthest, limit, diagonal - 1) + 1;
      let y = x - diagonal;
      while (x < old.length && y < now.length && old[x] === now[y]) {
        x++;
        y++;
        steps++;
      }
      furthest[limit + 1 + diagonal] = x;
      if (x >= old.length && y >= now.length) return backtrack(trace, limit, old, now);
    }
    steps += distance;
    if (steps > MAX_STEPS) return undefined;
  }
  return undefined;
}

function at(furthest: Int32Array, limit: number, diagonal: number): number {
  return furthest[limit + 1 + diagonal] ?? 0;
}

function comesFromAbove(furthest: Int32Array, limit: number, diagonal: number, distance: number): boolean {
  return (
    diagonal === -distance ||
    (diagonal !== distance && at(furthest, limit, diagonal - 1) < at(furthest, limit, diagonal + 1))
  );
}

function backtrack(
  trace: readonly Int32Array[],
  limit: number,
  old: readonly string[],
  now: readonly string[],
): Edit[] {
  const script: Edit[] = [];
  let x = old.length;
  let y = now.length;
  for (let distance = trace.length - 1; distance >= 0; distance--) {
    const furthest = trace[distance] ?? new Int32Array(0);
    const diagonal = x - y;
    const above = comesFromAbove(furthest, limit, diagonal, distance);
    const before = above ? diagonal + 1 : diagonal - 1;
    const beforeX = distance === 0 ? 0 : at(furthest, limit, before);
    const beforeY = distance === 0 ? 0 : beforeX - before;
    while (x > beforeX && y > beforeY && old[x - 1] === now[y - 1]) {
      script.push({ kind: " ", line: old[x - 1] ?? "" });
      x--;
      y--;
    }
    if (distance === 0) break;
    if (above) script.push({ kind: "+", line: now[--y] ?? "" });
    else script.push({ kind: "-", line: old[--x] ?? "" });
  }
  return script.reverse();
}

/** Cuts the script into hunks with their headers; `skipped` lines stand before it in both texts. */
function hunks(script: readonly Edit[], skipped: number): string {
  const out: string[] = [];
  let oldLine = skipped;
  let newLine = skipped;
  let index = 0;
  while (index < script.length) {
    let first = index;
    while (script[first]?.kind === " ") first++;
    if (first >= script.length) break;
    const begin = Math.max(index, first - CONTEXT);
    oldLine += begin - index;
    newLine += begin - index;
    const stop = endOfHunk(script, first);
    const part = script.slice(begin, stop);
    const oldCount = part.filter((edit) => edit.kind !== "+").length;
    const newCount = part.filter((edit) => edit.kind !== "-").length;
    out.push(`@@ -${range(oldLine, oldCount)} +${range(newLine, newCount)} @@\n`);
    // One by one: a hunk of half a million lines is more than a call takes as arguments.
    for (const edit of part) out.push(print(edit));
    oldLine += oldCount;
    newLine += newCount;
    index = stop;
  }
  return out.join("");
}

/** A hunk goes on while changes are at most twice the context apart. */
function endOfHunk(script: readonly Edit[], first: number): number {
  let last = first;
  for (let place = first; place < script.length && place - last <= 2 * CONTEXT; place++) {
    if (script[place]?.kind !== " ") last = place;
  }
  return Math.min(script.length, last + 1 + CONTEXT);
}

/** As `diff -u`: the first line counted from 1; the line before where there is none. */
function range(before: number, count: number): string {
  return `${count === 0 ? before : before + 1},${count}`;
}

function print({ kind, line }: Edit): string {
  return line.endsWith("\n") ? `${kind}${line}` : `${kind}${line}\n\\ No newline at end of file\n`;
}
