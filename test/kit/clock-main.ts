// The product's own main with a wall clock that a test sets: the file `<data folder>.clock` has its offset in ms and is
// read continuously. Clocks of elapsed time, and the Go half, keep their own time.

import { readFileSync } from "node:fs";

const LOOK_MS = 50;
const data = process.argv[process.argv.indexOf("--data") + 1] ?? "";
const now = Date.now.bind(Date);
let shiftMs = 0;
const look = (): void => {
  try {
    shiftMs = Number(readFileSync(`${data}.clock`, "utf8"));
  } catch {
    shiftMs = 0;
  }
};
look();
setInterval(look, LOOK_MS).unref();
Date.now = () => now() + shiftMs;

await import("../../src/main.ts");
