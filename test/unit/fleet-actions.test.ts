// What an admin asks a running member to do, where it ends at once: the lead for one that does not vote, leaving a
// fleet that has forgotten this node.

import { expect, test } from "bun:test";
import type { Members } from "../../src/fleet/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import type { Log } from "../../src/log/log.ts";
import { leaveFleet, transferLead } from "../../src/membership/actions.ts";
import type { PeerConnection } from "../../src/membership/peer-connection.ts";
import { member, raft } from "../kit/fleet-facts.ts";

const list = [member("a"), member("b"), member("c", "regional")];
const members = { list: () => list, get: (id: string) => list.find(({ node }) => node === id) } as unknown as Members;
const never = new AbortController().signal;

test("only a voter is handed the lead; nothing is tried with another", async () => {
  let server = "s-a";
  const asked: unknown[] = [];
  const state = { ...raft(["a", "b"]), members: ["a", "b"].map((name) => ({ server: `s-${name}`, voter: true })) };
  const parts = {
    members,
    log: { leadership: () => ({ leading: true, server, term: 2 }) } as unknown as Log,
    host: {
      raftState: async () => state,
      raftChange: async (change: unknown) => {
        asked.push(change);
        server = "s-b";
      },
    },
    leader: () => list.find((each) => each.server === server),
  };
  await expect(transferLead(parts, "n-c", never)).rejects.toMatchObject({
    code: "invalid_input",
    message: "c does not vote, and only voters lead",
  });
  expect(asked).toEqual([]);
  expect(await transferLead(parts, "n-b", never)).toEqual({ node: "n-b", name: "b" });
  expect(asked).toEqual([{ do: "transfer", server: "s-b" }]);
});

test("who was forgotten leaves without asking anyone", async () => {
  const asked: unknown[] = [];
  const leave = (removed: boolean) =>
    leaveFleet(
      {
        members,
        link: { call: async (...words: unknown[]) => asked.push(words) } as unknown as PeerConnection,
        self: () => "n-c",
        leading: () => false,
        leader: () => undefined,
        remove: async () => {},
        removed: () => removed,
      },
      AbortSignal.timeout(50),
    );
  await leave(true);
  await expect(leave(false)).rejects.toMatchObject({ name: "TimeoutError" });
  expect(asked).toEqual([]);
});

const leaving = (more: Partial<Parameters<typeof leaveFleet>[0]>, signal = never) =>
  leaveFleet(
    {
      members,
      link: { call: async () => ({}) } as unknown as PeerConnection,
      self: () => "n-c",
      leading: () => false,
      leader: () => "n-a",
      remove: async () => {},
      removed: () => false,
      ...more,
    },
    signal,
  );

test("a leave that was asked for ends as unknown, whatever comes then", async () => {
  const lost = new Fault("unavailable", "reset", { facts: { outcome: "maybe_sent" } });
  for (const then of [new Fault("forbidden", "no", { facts: { fromPeer: true } }), new TypeError("broken")]) {
    const answers: unknown[] = [lost, then];
    const call = async () => {
      throw answers.shift();
    };
    const left = leaving({ link: { call } as unknown as PeerConnection });
    await expect(left).rejects.toMatchObject({ code: "unavailable", facts: { outcome: "unknown" } });
  }
  const accepted = leaving({}, AbortSignal.timeout(50));
  await expect(accepted).rejects.toMatchObject({ code: "cancelled", facts: { outcome: "unknown" } });
});

test("a lead that raft was asked to hand over is of unknown outcome where raft fails", async () => {
  const parts = {
    members,
    log: { leadership: () => ({ leading: true, server: "s-a", term: 2 }) } as unknown as Log,
    host: {
      raftState: async () => ({ ...raft(["a", "b"]), members: [{ server: "s-b", voter: true }] }),
      raftChange: async () => {
        throw new Fault("tailnet_failed", "timed out");
      },
    },
    leader: () => list[0],
  };
  await expect(transferLead(parts, "n-b", never)).rejects.toMatchObject({ facts: { outcome: "unknown" } });
});

/** What a transfer to `to` is told where these members are there, and these servers vote. */
async function hintOf(list: readonly ReturnType<typeof member>[], voters: readonly string[], to?: string) {
  const state = { ...raft([]), members: voters.map((name) => ({ server: `s-${name}`, voter: true })) };
  const parts = {
    members: { list: () => list, get: (id: string) => list.find(({ node }) => node === id) } as unknown as Members,
    log: { leadership: () => ({ leading: true, server: "s-a", term: 2 }) } as unknown as Log,
    host: {
      raftState: async () => state,
      raftChange: async () => {
        throw new Error("nothing is to be tried");
      },
    },
    leader: () => list[0],
  };
  const error = await transferLead(parts, to, never).catch((refused: unknown) => refused);
  if (!(error instanceof Fault)) throw new Error(`not refused: ${String(error)}`);
  expect(error.code).toBe("invalid_input");
  return error.hint ?? "";
}

test("a standby is not to be promoted again: the hint leads to a member that votes, or to one central more", async () => {
  const two = [member("a"), member("b")];
  const standby = await hintOf(two, ["a"], "n-b");
  expect(standby).toStartWith("Of 2 central members 1 votes, since their number stays odd: make one more member");
  expect(await hintOf(two, ["a"])).toBe(standby);
  expect(standby).not.toContain("promote b");

  const four = [...two, member("c"), member("d")];
  expect(await hintOf(four, ["a", "b", "c"], "n-d")).toEndWith(" These vote now: b, c.");
  const six = [...four, member("e"), member("f")];
  expect(await hintOf(six, ["a", "b", "c", "d", "e"], "n-f")).toStartWith("Of 6 central members 5 vote");
  expect(await hintOf([...six, member("g")], ["a", "b", "c", "d", "e"], "n-f")).toStartWith("At most 5 members vote");
});

test("a regional member is to be promoted, with what that needs", async () => {
  const regional = [member("a"), member("b", "regional")];
  const hint = await hintOf(regional, ["a"], "n-b");
  expect(hint).toStartWith("Make it central: cairn promote b. Of 2 central members 1 votes");
  const third = await hintOf([member("a"), member("c"), member("b", "regional")], ["a"], "n-b");
  expect(third).toBe("Make it central: cairn promote b. It votes once it has caught up: cairn status shows when.");
  expect(await hintOf(regional, ["a"])).toBe("Make two more members central with cairn promote, so that three vote.");
});
