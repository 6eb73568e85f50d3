// What an admin asks a running member to do, where it ends at once: the lead for one that does not vote, leaving a fleet that has forgotten this node.

import { expect, test } from "bun:test";
import type { Members } from "../../src/fleet/index.ts";
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
