// What a node knows of callers that others name, and what it says while it is on no tailnet.

import { expect, test } from "bun:test";
import { Fault } from "../../src/lib/fault.ts";
import { PeerConnection } from "../../src/membership/peer-connection.ts";
import { Callers } from "../../src/node/listeners/callers.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import type { CallerWire, Tailnet } from "../../src/tailnet/index.ts";
import { LoopbackTailnet } from "../../src/tailnet/index.ts";
import { refusal } from "../kit/refusal.ts";

const wire: CallerWire = {
  v: 1,
  id: "nALICE",
  kind: "user",
  node: "laptop.example.ts.net",
  login: "alice@example.com",
  userId: "7",
  tags: [],
  own: false,
  grants: "",
};

function connected(caller: Tailnet["caller"]): { peers: PeerConnection } {
  const peers = new PeerConnection();
  const tailnet: Tailnet = Object.assign(new LoopbackTailnet(() => {}), { caller });
  const callers = new Callers({ grants: async () => [], problems: () => [], conditions: new Conditions(() => {}) });
  peers.connect({ tailnet, callers, egress: "/nowhere/egress.sock", secret: "s" });
  return { peers };
}

test("before there is a tailnet nothing is sent, and no one is seen", async () => {
  const peers = new PeerConnection();
  const call = peers.call({ node: "n1" }, "beat", {}, { timeoutMs: 100, signal: new AbortController().signal });
  expect(await refusal(call)).toMatchObject({ code: "unavailable", details: { notSent: true } });
  expect(await peers.callerOf("nALICE")).toBeUndefined();
});

test("a caller is who this node's own network map says, as one object while that says the same", async () => {
  const { peers } = connected(async () => wire);
  const found = await peers.callerOf("nALICE");
  expect(found).toMatchObject({ id: "nALICE", kind: "user", login: "alice@example.com" });
  expect(await peers.callerOf("nALICE")).toBe(found);
});

test("a device that is not there is no one; a map that cannot be read is no answer", async () => {
  const missing = connected(async () => {
    throw new Fault("not_found", "no node", { details: { tailnetCode: "not_found" } });
  });
  expect(await missing.peers.callerOf("nEVE")).toBeUndefined();
  const broken = connected(async () => {
    throw new Fault("unavailable", "the Go half is gone");
  });
  expect(await refusal(broken.peers.callerOf("nEVE"))).toMatchObject({ code: "unavailable" });
});
