// The product's own main with an event loop that a test can block: the file `<data folder>.stall` holds for how many
// ms, and is removed when that begins. The Go half goes on meanwhile.

import { readFileSync, rmSync } from "node:fs";

const LOOK_MS = 50;
const data = process.argv[process.argv.indexOf("--data") + 1] ?? "";
const path = `${data}.stall`;

setInterval(() => {
  let forMs = 0;
  try {
    forMs = Number(readFileSync(path, "utf8"));
    rmSync(path);
  } catch {
    return;
  }
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, forMs);
}, LOOK_MS).unref();

await import("../../src/main.ts");
