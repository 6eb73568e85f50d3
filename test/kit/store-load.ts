// A process that writes to a store as fast as it can until it is killed: `bun store-load.ts FOLDER SEED`. Prints each
// write on stdout after it was acknowledged.

import { writeSync } from "node:fs";
import { startCore } from "./core.ts";

const [folder = "", seed = "0"] = process.argv.slice(2);
const core = startCore({ folder });
writeSync(1, "ready\n");

/** Small and large documents, patches, deletions and atomic groups, on few ids, so that versions grow. */
async function write(lane: number): Promise<void> {
  for (let n = 0; ; n++) {
    const id = `s${lane % 3}/doc-${lane}`;
    const content = { seed, lane, n, fill: "x".repeat((n % 7) * 2000) };
    const kind = n % 10;
    if (kind === 9) {
      const { results } = (await core.call("context_many", {
        writes: [
          { operation: "context_put", id, content },
          { operation: "context_put", id: `${id}-twin`, content },
        ],
      })) as { results: Array<{ id: string; version: number; etag: string }> };
      for (const result of results) writeSync(1, `${result.id} ${result.version} ${result.etag}\n`);
      continue;
    }
    const done =
      kind === 8 && n > 8
        ? await core.call("context_patch", { id, format: "merge", patch: { patched: n } })
        : await core.call("context_put", { id, content });
    writeSync(1, `${done["id"]} ${done["version"]} ${done["etag"]}\n`);
  }
}

await Promise.all(Array.from({ length: 24 }, (_, lane) => write(lane)));
