// Runs in its own Worker, made from this text: writes a copy of a store's file as of one moment, off the main thread.
// Knows the two paths and nothing else.
const { Database } = require("bun:sqlite");

self.onmessage = ({ data: { path, to } }) => {
  try {
    const database = new Database(path, { readonly: true });
    try {
      database.run("PRAGMA busy_timeout = 5000");
      database.run("VACUUM INTO ?", [to]);
    } finally {
      database.close();
    }
    postMessage("");
  } catch (error) {
    postMessage(String(error));
  }
};
