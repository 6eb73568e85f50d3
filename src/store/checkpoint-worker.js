// Runs in its own Worker, made from this text: checkpoints most of the write-ahead log off the main thread. Knows the
// path and nothing else.
const { Database } = require("bun:sqlite");

self.onmessage = ({ data: { path, done } }) => {
  try {
    const database = new Database(path);
    try {
      database.run("PRAGMA synchronous = FULL");
      database.run("PRAGMA fullfsync = ON");
      // The second moves what was written during the first, so that little is left to the main thread.
      for (let pass = 0; pass < 2; pass += 1) database.query("PRAGMA wal_checkpoint(PASSIVE)").get();
    } finally {
      database.close();
    }
    postMessage("");
  } catch (error) {
    postMessage(String(error));
  } finally {
    // The main thread may be blocked in a close that waits for this.
    Atomics.store(done, 0, 1);
    Atomics.notify(done, 0);
  }
};
