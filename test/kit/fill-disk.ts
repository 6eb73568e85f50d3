// Writes to a store on a small disk until a write is refused, then reports what holds, as one line of JSON: `bun
// fill-disk.ts FOLDER gauge|none`.

import { DiskGauge } from "../../src/store/disk.ts";
import { type Core, startCore } from "./core.ts";

const [folder = "", mode = "none"] = process.argv.slice(2);
const limits = {
  history: { maxVersions: 0, maxDays: 0, keepHours: 0, spaces: {} },
  quota: { callerBytes: 0, spaceBytes: 0 },
};
const core: Core = startCore({ folder, limits, ...(mode === "gauge" ? { writesRefused: () => gauge.refusal() } : {}) });

const gauge = new DiskGauge(folder, () => core.store.walBytes);

const acknowledged: string[] = [];
let refusal: { code?: string; message?: string; hint?: string } = {};
for (let n = 0; refusal.code === undefined && n < 2000; n++) {
  // Random bytes, which no compression makes smaller.
  const content = Buffer.from(crypto.getRandomValues(new Uint8Array(60_000))).toString("hex");
  try {
    const { etag } = await core.call("context_put", { id: `a/x${n}`, content });
    acknowledged.push(String(etag));
  } catch (error) {
    refusal = error as typeof refusal;
  }
}

let readable = 0;
for (const [n, etag] of acknowledged.entries()) {
  const got = await core.call("context_get", { id: `a/x${n}` });
  if (got["etag"] === etag) readable += 1;
}
const after = await core.call("context_put", { id: "a/after", content: "x".repeat(1_000_000) }).then(
  () => "written",
  (error) => error.code,
);
const audit = await core.call("audit_verify", {});
console.log(
  JSON.stringify({
    acknowledged: acknowledged.length,
    readable,
    refusal: { code: refusal.code, message: refusal.message, hint: refusal.hint },
    after,
    audit: audit["ok"],
    fatal: core.fatal.map(String),
  }),
);
// The disk is full: closing may be unable to checkpoint everything, and must not need to.
process.exit(0);
