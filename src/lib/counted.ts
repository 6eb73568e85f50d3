// Counts in words for people.

/** Returns a number with its noun: `1 version`, `2 versions`. `plural` is for nouns that take no -s. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}
