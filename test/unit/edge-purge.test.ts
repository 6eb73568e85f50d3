// A purge that an edge did not see in its feed.

import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EdgeErasure } from "../../src/cache/edge-erasure.ts";
import { Fault } from "../../src/lib/fault.ts";
import type { Store } from "../../src/store/store.ts";
import { localAdmin, startCore } from "../kit/core.ts";
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

test("a purge is noted once it lies before what the edge follows, and each once", async () => {
  await using core = startCore();
  const { store } = core;
  let seq = 4;
  const dropped: number[] = [];
  const erasure = new EdgeErasure({
    ...{ store, seq: () => seq, onError: () => {} },
    dropUncertain: (before) => () => dropped.push(before),
  });
  erasure.note(5);
  expect([dropped, erasure.state().purged]).toEqual([[], 0]);
  seq = 5;
  for (const purged of [5, 5, 3]) erasure.note(purged);
  expect([dropped, erasure.state().purged]).toEqual([[5], 5]);
});

test("files are erased one run at a time, and why that failed is said once until there is another reason", async () => {
  await using core = startCore();
  const reasons = ["a", "a", "b", "", "b"];
  let running = 0;
  const store = new Proxy(core.store, {
    get: (target, name: keyof Store) => {
      if (name === "erase") return async () => true;
      if (name !== "eraseBeside") return typeof target[name] === "function" ? target[name].bind(target) : target[name];
      return async () => {
        expect(++running).toBe(1);
        await Bun.sleep(1);
        running -= 1;
        return reasons.shift() ?? "";
      };
    },
  });
  const said: unknown[] = [];
  const onError = (reason: unknown) => said.push(reason);
  let seq = 0;
  const erasure = new EdgeErasure({ store, seq: () => seq, dropUncertain: () => () => {}, onError });
  for (const left of [4, 3, 2, 1, 0]) {
    seq += 1;
    erasure.note(seq);
    erasure.note(seq);
    await until(
      () => reasons.length === left && running === 0,
      () => `${reasons}`,
    );
    // What follows a run is done in the turn after it.
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(said).toEqual(["a", "b", "b"]);
});
