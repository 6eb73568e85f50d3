// Finds the known name that a mistyped one most likely meant, for error messages.

/**
 * Returns the candidate within an edit distance of a third of its length, or undefined. Leading words that are the same
 * do not count as length: `context_purge` is not a mistyped `context_put`.
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - name.length) > 4 || name.length > 64) continue;
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance && distance <= tolerance(name, candidate)) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function tolerance(name: string, candidate: string): number {
  let words = 0;
  for (let at = 0; at < candidate.length && name[at] === candidate[at]; at++)
    if (/[_.\-/]/.test(candidate[at] ?? "")) words = at + 1;
  return Math.max(1, Math.floor((candidate.length - words) / 3));
}

/** Returns the number of letters to add, drop, replace, or swap with the next. */
export function editDistance(a: string, b: string): number {
  let earlier: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = isSwapped ? (earlier[j - 2] ?? 0) + 1 : substitution;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution, swap));
    }
    earlier = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
