// Whom an edge believes about the leader and about a write (security.md 8): a central of the members table leads,
// whatever others say of themselves, and a write is done once a second full member has it.

import { describe, expect, test } from "bun:test";
import { createClosers } from "../../src/lib/closers.ts";
import { Fault } from "../../src/lib/fault.ts";
import { EdgeParts } from "../../src/membership/edge-parts.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import type { ForwardCall } from "../../src/operation/routing.ts";
import { member as caller, pairFor, put } from "../kit/asking.ts";
import { startEdgePair } from "../kit/edge.ts";
import { eventually } from "../kit/eventually.ts";
import { member } from "../kit/fleet-facts.ts";
import { refusal } from "../kit/refusal.ts";
import { temporaryFolder } from "../kit/temporary.ts";

const WRITE: ForwardCall = { operation: "context_put", input: { id: "a/x", content: 1 }, caller, kind: "write" };
const notLeading = (named: string) =>
  new Fault("unavailable", "not the leader", {
    facts: { fromPeer: true, outcome: "not_done", leader: { node: named } },
  });

/** An edge between a central `n-c` and the nearer regional `n-r`, which says that it leads wherever it can. */
function besideLiar(forward: (node: string) => unknown) {
  const calls: string[] = [];
  const closers = createClosers();
  const members = [member("c"), member("r", "regional"), member("e", "edge")];
  const liar = [member("c", "regional"), member("r"), member("e", "edge")];
  const feed = (list: readonly unknown[], id: string) => ({
    epoch: "0123456789",
    position: "0123456789-5",
    items: [],
    more: false,
    heldMs: 0,
    ageMs: 0,
    epochs: [{ n: 1, id: "0123456789", parent: null, forkSeq: 0 }],
    terms: { id, fleet: "f1", spaces: ["*"], wanted: ["*"], modes: [], members: list },
  });
  const parts = new EdgeParts({
    settings: {
      data: temporaryFolder(),
      "cache.spaces": [],
      "cache.max_bytes": 1e6,
      "cache.max_stale": 60,
      "access.max_stale": 60,
    } as never,
    conditions: new Conditions(() => {}),
    closers,
    link: {
      call: async (target, path) => {
        const node = "node" in target ? target.node : "";
        calls.push(`${path} ${node}`);
        if (path === "forward") return forward(node);
        await Bun.sleep(5);
        return node === "n-r" ? feed(liar, "liar") : feed(members, "true");
      },
    },
    node: { id: () => "n-e" } as never,
    controlAnswers: () => true,
    directory: {
      leader: () => undefined,
      fleetLevel: () => 0,
      roundTripMs: (node) => (node === "n-r" ? 1 : 50),
    },
    knownMembers: members,
  });
  parts.edge.start();
  return { parts, calls, close: () => closers.closeAll((_name, error) => expect(error).toBeUndefined()) };
}

describe("an edge beside a regional that claims to lead", () => {
  test("takes the list of members from centrals only", async () => {
    const { parts, calls, close } = besideLiar(() => ({}));
    await eventually("both are asked", () => calls.includes("feed n-r") && calls.includes("feed n-c"));
    await Bun.sleep(30);
    expect(parts.members.list().map(({ node, role }) => `${node} ${role}`)).toEqual([
      "n-c central",
      "n-r regional",
      "n-e edge",
    ]);
    await close();
  });

  test("sends it no write: neither as its upstream nor where another node names it", async () => {
    const { parts, calls, close } = besideLiar((node) => {
      if (node === "n-r") return { output: '{"version":1}', position: "0123456789-5" };
      throw notLeading("n-r");
    });
    await eventually("it has a feed", () => parts.edge.log.ready());
    const late = AbortSignal.timeout(400);
    await parts.routing.forward(WRITE, "leader", late).catch(() => {});
    expect(calls.filter((call) => call.startsWith("forward")).length).toBeGreaterThan(1);
    expect(calls).not.toContain("forward n-r");
    await close();
  });
});

test("a full member follows no hint to a regional as the leader", async () => {
  await using pair = await pairFor(caller, { roles: ["central", "central", "regional"], withinMs: 300 });
  pair.useLink(async (_from, to, deliver) => {
    if (to === "n0") throw notLeading("n2");
    return to === "n2" ? { output: '{"version":1}', position: "0123456789-1" } : deliver();
  });
  expect(await refusal(put(pair.node(1), 1))).toMatchObject({ details: { outcome: "not_written" } });
  expect(pair.calls).not.toContain("n1 n2");
});

test("a node that refuses and names itself as the leader is asked again only after a pause", async () => {
  await using pair = await pairFor(caller, { withinMs: 300 });
  pair.useLink(async () => {
    throw notLeading("n0");
  });
  expect(await refusal(put(pair.node(1), 1))).toMatchObject({ details: { outcome: "not_written" } });
  // 25, 50, 100 and 200 ms apart, each half as long at least.
  expect(pair.calls.length).toBeLessThan(12);
});

describe("a write that an edge forwarded", () => {
  const write = { id: "a/x", content: 1 };

  test("is done once another full member has it too, which is asked where the edge follows the one that answered", async () => {
    const pair = startEdgePair({ nodes: ["nCENTRAL", "nOTHER"] });
    await pair.poll();
    const feeds: string[] = [];
    pair.setLink((path, deliver, node) => {
      if (path === "feed") feeds.push(node);
      return deliver();
    });
    expect((await pair.invoke("context_put", write, caller)).output["version"]).toBe(1);
    expect(feeds).toEqual(["nOTHER"]);
    await pair.close();
  });

  test("is of unknown outcome while no other has it", async () => {
    const pair = startEdgePair({ nodes: ["nCENTRAL", "nOTHER"], witnessMs: 300 });
    await pair.poll();
    const { epoch, seq } = pair.edge.log.position();
    pair.setLink((path, deliver) =>
      path === "forward"
        ? Promise.resolve({ output: { version: 1 }, position: `${epoch}-${seq + 1}`, by: "nCENTRAL" })
        : deliver(),
    );
    const refused = await refusal(pair.invoke("context_put", write, caller));
    expect(refused).toMatchObject({ code: "unavailable", details: { outcome: "unknown" } });
    await pair.close();
  });

  test("is believed where no other full member answers", async () => {
    const pair = startEdgePair({ nodes: ["nCENTRAL", "nOTHER"], witnessMs: 2_000 });
    await pair.poll();
    pair.setLink((_path, deliver, node) =>
      node === "nOTHER"
        ? Promise.reject(new Fault("unavailable", "no route", { facts: { outcome: "not_sent" } }))
        : deliver(),
    );
    expect((await pair.invoke("context_put", write, caller)).output["version"]).toBe(1);
    await pair.close();
  });

  test("needs no question where the edge follows another member than the one that answered", async () => {
    const pair = startEdgePair({ nodes: ["nOTHER", "nCENTRAL"] });
    const feeds: string[] = [];
    pair.setLink((path, deliver, node) => {
      if (path === "feed") feeds.push(node);
      return deliver();
    });
    pair.edge.start();
    await eventually("it follows", () => !pair.edge.client.isDisconnected());
    expect((await pair.invoke("context_put", write, caller)).output["version"]).toBe(1);
    expect(new Set(feeds)).toEqual(new Set(["nOTHER"]));
    await pair.close();
  });
});
