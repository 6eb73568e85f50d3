// Keys of cached outputs: the read operation, and the target whose changes make the output old.

/** Returns the key of an output. Names of operations contain no blank. */
export function keyOf(operation: string, target: string): string {
  return `${operation} ${target}`;
}

/** Returns the operation of a key. */
export function operationOfKey(key: string): string {
  return key.slice(0, key.indexOf(" "));
}

/** Returns the target of a key. */
export function targetOfKey(key: string): string {
  return key.slice(key.indexOf(" ") + 1);
}
