// How long an edge that is cut off goes on to serve (security.md 7): only while a right that was taken away would have
// reached it. Clock, link and control server are the test's.

import { expect, test } from "bun:test";
import { Fault } from "../../src/lib/fault.ts";
import { granted } from "../kit/core.ts";
import { startEdgePair } from "../kit/edge.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const HOUR_MS = 3_600_000;
const settings = { maxStaleMs: 24 * HOUR_MS, maxRightsAgeMs: HOUR_MS };
const member = granted({ role: "member", spaces: ["*"] });
const refused = expect.objectContaining({ code: "unavailable" });

test("nothing is served once rights may have been taken away unnoticed, whatever may be stale; a restart changes nothing", async () => {
  let controlIsThere = true;
  const folder = temporaryFolder();
  const pair = startEdgePair({ settings, folder, controlAnswers: () => controlIsThere });
  const stateOf = async (more: Record<string, unknown> = {}) =>
    (await pair.invoke("context_get", { id: "run/x", ...more }, member)).cache?.state;
  await pair.upstream.call("space_configure", { space: "run", edge: "stale" });
  await pair.upstream.call("context_put", { id: "run/x", content: "kept" });
  await pair.poll();
  expect(await stateOf()).toBe("miss");
  pair.setLink(() => Promise.reject(new Fault("unavailable", "cut", { facts: { outcome: "not_sent" } })));
  // By the control server alone a right would be taken away in time.
  pair.clock.add(2 * HOUR_MS);
  expect(await stateOf()).toBe("stale");
  controlIsThere = false;
  pair.clock.add(HOUR_MS);
  expect(await stateOf()).toBe("stale");
  pair.clock.add(1);
  await expect(stateOf()).rejects.toEqual(refused);
  await expect(stateOf({ consistency: "any" })).rejects.toEqual(refused);
  controlIsThere = true;
  expect(await stateOf()).toBe("stale");
  await pair.close();

  // What the process knew of the control server is gone, and the feed proved nothing for three hours.
  controlIsThere = false;
  const again = startEdgePair({ settings, folder, clock: pair.clock, controlAnswers: () => controlIsThere });
  again.setLink(() => Promise.reject(new Fault("unavailable", "cut", { facts: { outcome: "not_sent" } })));
  const read = () => again.invoke("context_get", { id: "run/x", consistency: "any" }, member);
  await expect(read()).rejects.toEqual(refused);
  controlIsThere = true;
  expect((await read()).cache?.state).toBe("stale");
  await again.close();
});
