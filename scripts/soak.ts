// npm run soak: ten minutes (or `-- --minutes N`) of everything that has ever broken a Go library inside a JavaScript
// engine, over a real tailnet on this machine. The gate runs a few seconds of the same (test/binary/signals.test.ts).

import { parseArgs } from "node:util";
import { soak } from "../test/kit/soak.ts";

const MAX_LAG_MS = 3_000;
/** Upper limit of resident memory at the end of a run of any length, in bytes. */
const MAX_RESIDENT_BYTES = 600 * 1024 * 1024;

const { values } = parseArgs({ args: process.argv.slice(2), options: { minutes: { type: "string", default: "10" } } });
const minutes = Number(values.minutes);
if (!(minutes > 0 && minutes <= 24 * 60)) {
  console.error(`cairn: --minutes must be a number up to 1440, got "${values.minutes}"`);
  process.exit(2);
}

// `exit` ends the load process too.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));

console.error(`cairn: soaking for ${minutes} minutes …`);
const { load, traffic } = await soak({
  seconds: minutes * 60,
  onProgress: (requests) => console.error(`cairn: ${requests} requests answered`),
});
console.log(JSON.stringify({ ...load, ...traffic }, undefined, 2));
const problems = [
  ...traffic.failures,
  ...(load.failedChildren > 0 ? [`${load.failedChildren} children failed`] : []),
  ...(load.maxLagMs > MAX_LAG_MS ? [`the event loop stood still for ${Math.round(load.maxLagMs)} ms`] : []),
  ...(load.residentBytes > MAX_RESIDENT_BYTES ? [`${load.residentBytes} bytes of memory in use`] : []),
];
for (const problem of problems) console.error(`cairn: soak: ${problem}`);
process.exit(problems.length === 0 ? 0 : 1);
