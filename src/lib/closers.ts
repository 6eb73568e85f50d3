// What was opened, closed again in reverse order: each part once, a failing one does not keep the others open.

/** What must be closed at the end, in reverse order of opening. */
export interface Closers {
  /** Adds a part; `name` is for the report of a failure. */
  add(name: string, close: () => void | Promise<void>): void;
  /** Closes all parts, the last one first. `failed` hears of those that throw. Safe to call twice. */
  closeAll(failed: (name: string, error: unknown) => void): Promise<void>;
}

/** An empty list of things to close. */
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
