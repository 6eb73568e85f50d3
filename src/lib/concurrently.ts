// Runs an action for many items, a bounded number of them at a time.

/** Runs an action for each item, at most `max` at a time. Rejects with the first failure, and then starts no more. */
export async function forEachConcurrently<Item>(
  items: readonly Item[],
  max: number,
  act: (item: Item, at: number) => Promise<void>,
): Promise<void> {
  const left = items.entries();
  let failed = false;
  const worker = async (): Promise<void> => {
    for (const [at, item] of left) {
      if (failed) return;
      await act(item, at);
    }
  };
  const workers = Array.from({ length: Math.min(max, items.length) }, () =>
    worker().catch((error: unknown) => {
      failed = true;
      throw error;
    }),
  );
  const results = await Promise.allSettled(workers);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
