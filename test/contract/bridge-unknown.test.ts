// `cairn bridge --fleet` after an attempt at a write that may have been done: what later members respond does not deny
// it.

import { expect, test } from "bun:test";
import { contextOperations } from "../../src/features/context/index.ts";
import { whoami } from "../../src/operation/whoami.ts";
import { startCore } from "../kit/core.ts";
import { faultOf, fleetBridge } from "../kit/fleet-bridge.ts";
import { Door, tellMembers } from "../kit/mcp-fleet.ts";

test.each(["refuses calls", "draining", "unreachable"] as const)(
  "killed with the response in hand, and the other one %s: whether the write was made is unknown",
  async (mood) => {
    await using core = startCore({ operations: [...contextOperations, whoami, tellMembers(() => [])] });
    await using one = new Door(core);
    await using two = new Door(core);
    const agent = fleetBridge([one, two]);
    try {
      await agent.call("context_get", { id: "team/none" });
      const used = one.calls.length > 0 ? one : two;
      used.mood = "dies with the answer";
      (used === one ? two : one).mood = mood;
      const failed = await agent.call("context_put", { id: "team/maybe", content: "mine" });
      expect(faultOf(failed)).toMatchObject({ code: "unavailable", outcome: "unknown", retryable: true });
      expect((await core.call("context_get", { id: "team/maybe" }))["version"]).toBe(1);
    } finally {
      await agent.stop();
    }
  },
  60_000,
);
