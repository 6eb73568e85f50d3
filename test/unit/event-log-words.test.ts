// What `cairn events log` and `cairn events move` print.

import { expect, test } from "bun:test";
import { moveCommands } from "../../src/features/event/moves/words.ts";

const shown = (word: string, output: object, options: Record<string, unknown> = {}) => {
  const found = moveCommands.find(({ words }) => words[1] === word);
  if (found === undefined) throw new Error(`no command ${word}`);
  return found.show({ ...output }, { args: [], options });
};

const FOUND = {
  ...{ log: "jetstream", durability: "jetstream; replicas=1; sync=server", oldest: "a-e0", newest: "a-e3" },
  ...{ events: 3, bytes: 30, waiting: 0, stream: "cairn-a" },
};

test("the log says what is not in it", () => {
  expect(shown("log", FOUND)).toBe(
    "jetstream: 3 events (30 bytes) from a-e0 to a-e3\nstream of NATS: cairn-a\n" +
      "promise: jetstream; replicas=1; sync=server\n",
  );
  expect(shown("log", { ...FOUND, waiting: 200_000, untold: 7 })).toEndWith(
    "200000 events of Cairn itself are not in it yet\n" +
      "7 changes made no event, because too many waited: the audit has them\n",
  );
});

test("a move says how far it is, and a node that has not heard of the stream what it does not know", () => {
  const move = { to: "fleet", state: "copying" };
  expect(shown("log", { ...FOUND, move: { ...move, copied: 2 } })).toEndWith(
    "moving to fleet: copying, 2 of 3 copied\n",
  );
  expect(shown("log", { ...FOUND, move })).toEndWith("moving to fleet: copying\n");
  expect(shown("log", { ...FOUND, heard: false, problem: "no way" })).toBe(
    "jetstream: this node has not reached it since it started; it had events up to a-e3 at least\n" +
      "stream of NATS: cairn-a\npromise: jetstream; replicas=1; sync=server\nthis node cannot use it: no way\n",
  );
});

test("without --yes it says what NATS said", () => {
  const nats = { stream: "cairn-b", replicas: 3 };
  const counted = { from: "fleet", to: "jetstream", events: 9, bytes: 90, begun: false };
  const asks = "would move 9 events (90 bytes) from fleet to jetstream; give --yes to do it\n";
  expect(shown("move", { ...counted, nats: { ...nats, max_payload: 100, free_bytes: 80 } })).toBe(
    "this node reaches NATS: the stream cairn-b would be made, with 3 replicas\nNATS takes events of up to 100 bytes\n" +
      `the account has room for 80 bytes: too few\n${asks}`,
  );
  expect(shown("move", { ...counted, nats: { ...nats, problem: "no way" } })).toEqual(
    expect.stringMatching(
      /^this node does not reach NATS: no way\nwould move 9 .* to jetstream\nbefore that .*outbound\.allow/,
    ),
  );
  expect(shown("move", { ...counted, nats: { ...nats, problem: "no way" } })).not.toContain("--yes");
  // It was begun all the same: the leader may reach it.
  expect(shown("move", { ...counted, begun: true, nats: { ...nats, problem: "no way" } }, { yes: true })).toEndWith(
    "moving 9 events (90 bytes) from fleet to jetstream\n",
  );
  expect(shown("move", { ...counted, from: "jetstream", to: "fleet", nats: { ...nats, events: 1 } })).toBe(
    "this node reaches NATS: the stream cairn-b has 1 event\n" +
      "would move 9 events (90 bytes) from jetstream to fleet; give --yes to do it\n",
  );
});

test("of a stream that is given up it says what is known", () => {
  const counted = {
    from: "jetstream",
    to: "fleet",
    events: 9,
    bytes: 90,
    after: "a-e9",
    problem: "no way",
    waiting: 0,
  };
  const known = shown("move", { ...counted, begun: true }, { yes: true });
  expect(known).toContain(
    "this node knows of 9 events (90 bytes), and not of what came since it saw the stream last\n",
  );
  expect(known).toContain("behind a-e9, the last place that this node knows;");
  const unknown = shown("move", { ...counted, heard: false, waiting: 2, begun: false });
  expect(unknown).toContain("how many is not known, because this node has not reached it since it started\n");
  expect(unknown).toContain("2 events of Cairn itself that wait are kept, and come behind\n");
  expect(unknown).toContain("behind a-e9, the last place that the fleet knows;");
  expect(unknown).not.toContain("9 events");
});
