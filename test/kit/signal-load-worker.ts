// The second thread of signal-load.ts: collects garbage continuously, which stops and scans the other threads.

declare const self: Worker;

setInterval(() => {
  const garbage = Array.from({ length: 10_000 }, (_, index) => ({ index }));
  Bun.gc(true);
  self.postMessage(garbage.length);
}, 5);
