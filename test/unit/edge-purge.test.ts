// A purge that an edge did not see in its feed.

import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../../src/lib/fault.ts";
import { localAdmin } from "../kit/core.ts";
import { startEdgePair } from "../kit/edge.ts";
import { until } from "../kit/mcp-client.ts";

const IDS = ["run/x", "run/y"];

test("a purge among changes that were missed takes what is kept from before it, and the bytes of it", async () => {
  const pair = startEdgePair();
  await pair.poll();
  await pair.upstream.call("space_configure", { space: "run", edge: "stale" });
  for (const id of IDS) await pair.upstream.call("context_put", { id, content: `the secret of ${id}` });
  await pair.poll();
  for (const id of IDS) await pair.invoke("context_get", { id }, localAdmin);
  pair.edge.state.persist();
  const folder = join(pair.folder, "edge", "1");
  const bytes = () =>
    readdirSync(folder)
      .map((name) => readFileSync(join(folder, name), "latin1"))
      .join("");
  expect(bytes()).toContain("the secret of run/x");
  await pair.upstream.call("context_purge", { id: "run/x" });
  const { seq } = pair.upstream.log.position();
  // What it has followed so far is older than the purge.
  pair.edge.state.erasure.note(seq);
  expect(pair.edge.state.erasure.state()).toEqual({ purged: 0, erased: 0 });
  pair.edge.state.markGap();
  await pair.poll();
  pair.edge.state.erasure.note(seq);
  await until(
    () => pair.edge.state.erasure.state().erased === seq,
    () => JSON.stringify(pair.edge.state.erasure.state()),
  );
  expect(bytes()).not.toContain("the secret of");
  pair.setLink(() => Promise.reject(new Fault("unavailable", "cut", { facts: { outcome: "not_sent" } })));
  await expect(pair.invoke("context_get", { id: "run/x" }, localAdmin)).rejects.toMatchObject({ code: "unavailable" });
  await pair.close();
});
