// Closes what was opened, in reverse order: each part once, and a failing one does not keep the others open.

/** Parts to close at the end, in reverse order of opening. */
export interface Closers {
  /** Adds a part. `name` is for the report of a failure. */
  add(name: string, close: () => void | Promise<void>): void;
  /** Closes all parts, the last one first. `failed` is called for each part that throws. Safe to call twice. */
  closeAll(failed: (name: string, error: unknown) => void): Promise<void>;
}

/** Returns an empty list of parts. */
export function createClosers(): Closers {
  const parts: { name: string; close: () => void | Promise<void> }[] = [];
  let closing: Promise<void> | undefined;
  const closeAll = async (failed: (name: string, error: unknown) => void): Promise<void> => {
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      try {
        await part.close();
      } catch (error) {
        failed(part.name, error);
      }
    }
  };
  return {
    add: (name, close) => parts.push({ name, close }),
    closeAll: (failed) => {
      closing ??= closeAll(failed);
      return closing;
    },
  };
}
