// A child process of tests: commits one row after the other to an SQLite file, and prints each number once it is
// committed. Arguments: the file, and the value of `PRAGMA synchronous`.

import { Database } from "bun:sqlite";

const [path = "", synchronous = ""] = process.argv.slice(2);
const database = new Database(path, { create: true });
database.run("PRAGMA journal_mode = WAL");
database.run(`PRAGMA synchronous = ${synchronous}`);
database.run("CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, text TEXT NOT NULL)");
const { last } = database.query<{ last: number }, []>("SELECT coalesce(max(number), 0) AS last FROM rows").get() ?? {
  last: 0,
};
for (let number = last + 1; ; number++) {
  database.run("INSERT INTO rows VALUES (?, ?)", [number, "x".repeat(3000)]);
  process.stdout.write(`${number}\n`);
  if (number % 7 === 0) database.run("PRAGMA wal_checkpoint(TRUNCATE)");
}
