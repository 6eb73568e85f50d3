// What the commands for deliveries of events ask for and print.

import { expect, test } from "bun:test";
import { subscriptionCommands } from "../../src/features/event/subscription/commands.ts";
import { oneCommands } from "../../src/features/event/subscription/one-commands.ts";

const command = (word: string) => {
  const found = [...subscriptionCommands, ...oneCommands].find(({ words }) => words[1] === word);
  if (found === undefined) throw new Error(`no command ${word}`);
  return found;
};
const words = (args: string[], options: Record<string, unknown> = {}) => ({ args, options });

test("letters are counted, and changed only by the word that says so", () => {
  const counted = words(["team-a/x"], { offset: ["3", "4"] });
  for (const name of ["redrive", "purge"]) {
    expect(command(name).input(counted)).toEqual({ id: "team-a/x", offsets: [3, 4], dry: true });
    expect(command(name).show({ letters: 2 }, counted)).toStartWith("2 dead letters\nnothing is ");
  }
  expect(command("redrive").input(words(["i"], { send: true }))).toEqual({ id: "i", dry: false });
  expect(command("redrive").show({ letters: 2 }, words(["i"], { send: true }))).toBe("2 are sent again\n");
  expect(command("purge").input(words(["i"], { remove: true }))).toEqual({ id: "i", dry: false });
  expect(command("purge").show({ letters: 2 }, words(["i"], { remove: true }))).toBe("2 removed\n");
  expect(() => command("purge").input(words(["i"], { offset: ["x"] }))).toThrow("--offset");
});

test("dead letters are one line each, of the first line that the target said", () => {
  const letter = { offset: 7, state: "dead", attempts: 3, status: 400, detail: "no\nmore", event: { type: "t" } };
  const letters = [letter, { ...letter, offset: 12, state: "sent_again", status: 0, detail: "" }];
  expect(command("dead").show({ letters, total: 9, bytes: 100 }, words(["i"]))).toBe(
    "7   t  3 attempts     HTTP 400     no\n12  t  is sent again  no response\n9 dead letters (100 bytes)\n",
  );
});

test("counts say where a part alone was counted", () => {
  const share = [{ name: "t", events: 2, bytes: 10 }];
  const found = { events: 2, bytes: 10, from: "A", to: "B", types: share, sources: [], spaces: [], senders: share };
  expect(command("stats").show({ ...found, complete: false }, words([]))).toBe(
    "2 events (10 bytes) from A to B, the newest of them\ntype    2  10 bytes  t\nsender  2  10 bytes  t\n",
  );
});

test("a subscription that fails says why, in the first line of what was met", () => {
  const row = {
    ...{ id: "team-a/x", state: "failing", behind: 2, lag_seconds: 3, failed: 1, dead_letters: 0, target: "ops" },
    problem: "HTTP 503 busy\nmore",
  };
  expect(command("subscriptions").show({ subscriptions: [row] }, words([]))).toBe(
    "team-a/x  failing  2 behind  3 s  1 failed  0 dead  to ops  HTTP 503 busy\n",
  );
});

test("one letter is one letter", () => {
  const letter = { offset: 7, state: "dead", attempts: 1, status: 400, detail: "no", event: { type: "t" } };
  expect(command("dead").show({ letters: [letter], total: 1, bytes: 9 }, words(["i"]))).toBe(
    "7  t  1 attempt  HTTP 400  no\n1 dead letter (9 bytes)\n",
  );
  expect(command("redrive").show({ letters: 1 }, words(["i"], { send: true }))).toBe("1 is sent again\n");
});

test("a subscription is shown with its last attempts, what fails, and the rule that did", () => {
  const subscription = { id: "team-a/x", state: "active", target: "ops", owner: "user:ann@x", rules: [{ id: "red" }] };
  const attempt = { at: "T1", offset: 7, attempt: 1, result: "failed", status: 503, detail: "busy\nmore" };
  const shown = { subscription, behind: 1, dead_letters: 2, attempts: [attempt], at: "c-e6" };
  expect(command("show").input(words(["team-a/x"]))).toEqual({ id: "team-a/x" });
  const failing = { failing: { next: "T2" }, rule_problem: { rule: "red", reason: "No such key: n" } };
  expect(
    command("show")
      .show({ ...shown, ...failing }, words([]))
      .split("\n"),
  ).toEqual([
    ...["state    failing", "to       ops", "owner    user:ann@x", "rules    red"],
    ...["behind   1 event, of any space, after c-e6", "dead     2 letters", "next     T2"],
    ...["problem  rule red: No such key: n", "T1  event 7  attempt 1  failed  HTTP 503  busy", ""],
  ]);
  const document = { ...subscription, target: undefined, context: { id: "team-a/log" }, rules: [], reason: "asked" };
  const text = command("show").show(
    { ...shown, subscription: { ...document, state: "paused" }, attempts: [] },
    words([]),
  );
  expect(text).toContain('to      {"id":"team-a/log"}\n');
  expect(text).toContain("state   paused (asked)\n");
  expect(text).toEndWith(
    "rules   none: every event is sent\nbehind  1 event, of any space, after c-e6\ndead    2 letters\nno attempts\n",
  );
});

test("a target is tried, and a no is a no", () => {
  const no = { success: false, result: "failed", status: 0, detail: "secret:X is not set" };
  expect(command("test").input(words(["ops"]))).toEqual({ id: "ops" });
  expect([command("test").show(no, words([])), command("test").isNo?.(no)]).toEqual([
    ...["failed  no response  secret:X is not set\n", true],
  ]);
  const yes = { success: true, result: "delivered", status: 200, detail: "" };
  expect([command("test").show(yes, words([])), command("test").isNo?.(yes)]).toEqual(["delivered  HTTP 200\n", false]);
});

test("pause and resume say what the subscription is now", () => {
  expect(command("resume").input(words(["i"], { since: "oldest" }))).toEqual({ id: "i", since: "oldest" });
  expect(command("resume").show({ id: "i", state: "active", cursor: "c-e6" }, words([]))).toBe(
    "i is active after c-e6\n",
  );
  expect(command("pause").show({ id: "i", state: "paused", reason: "asked" }, words([]))).toBe("i is paused (asked)\n");
});
