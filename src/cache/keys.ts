// Keys of kept answers: the read that was answered and the target whose changes make the answer old.

/** The key of one answer. Names of operations hold no space. */
export function keyOf(operation: string, target: string): string {
  return `${operation} ${target}`;
}

/** The target of a key. */
export function targetOfKey(key: string): string {
  return key.slice(key.indexOf(" ") + 1);
}
