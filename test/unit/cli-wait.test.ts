// cairn wait against a node that is played: what holds, what does not, what is final, and a signal.

import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { wantedBy } from "../../src/cli/wait/conditions.ts";
import { wait, waitFor } from "../../src/cli/wait/wait.ts";
import { faultOf, refusal } from "../kit/refusal.ts";

interface Played {
  ready: boolean;
  leader: string;
  position: string;
  conditions: { code: string; severity: string }[];
  members: object[];
}

let played: Played;
/** Calls of the node; `onCall` may change what is played. */
let calls: string[];
let onCall: (count: number) => Response | undefined;
let server: Bun.Server<undefined>;
let said: string;
const stderr = spyOn(process.stderr, "write");

beforeEach(() => {
  played = { ready: true, leader: "berlin", position: "aaaaaaaaaa-7", conditions: [], members: [] };
  calls = [];
  onCall = () => undefined;
  said = "";
  stderr.mockImplementation((text) => {
    said += String(text);
    return true;
  });
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const word = new URL(request.url).pathname.split("/").at(-1) ?? "";
      calls.push(word);
      const other = onCall(calls.length);
      if (other !== undefined) return other;
      if (word === "ready") return new Response("{}", { status: played.ready ? 200 : 503 });
      if (word === "context_list") return Response.json({});
      const { leader, ...report } = played;
      return Response.json({ ...report, fleet: { leader } });
    },
  });
});
afterEach(async () => {
  stderr.mockReset();
  await server.stop(true);
});

const invoke = (options: Record<string, unknown>) =>
  ({ args: [], env: {}, options: { url: server.url.origin, timeout: "0", ...options } }) as const;
const run = (options: Record<string, unknown>): Promise<number> => wait.run(invoke(options));

const member = (more: object) => ({
  node: "n1",
  name: "berlin",
  state: "active",
  self: false,
  age_seconds: 2,
  ...more,
});

describe("one look", () => {
  const rows: [string, Record<string, unknown>, Partial<Played>, string | undefined][] = [
    ["a node that takes calls", {}, {}, undefined],
    ["one that does not", {}, { ready: false, conditions: [{ code: "starting", severity: "info" }] }, "(starting)"],
    ["one that does not, where that is not asked for", { leader: true }, { ready: false }, undefined],
    ["one that does not, beside others", { leader: true, ready: true }, { ready: false }, "takes no calls"],
    ["no leader", { leader: true }, { leader: "" }, "no leader is known"],
    ["a member", { member: ["berlin"] }, { members: [member({})] }, undefined],
    ["a member by its id", { member: ["n1"] }, { members: [member({})] }, undefined],
    ["a member that is not there", { member: ["paris"] }, { members: [member({})] }, "there is no member paris"],
    ["one of two", { member: ["berlin", "paris"] }, { members: [member({})] }, "there is no member paris"],
    ["a silent member", { member: ["berlin"] }, { members: [member({ age_seconds: 16 })] }, "is 16 s old"],
    ["a member without a report", { member: ["berlin"] }, { members: [member({ age_seconds: null })] }, "no report"],
    ["a member that leaves", { member: ["berlin"] }, { members: [member({ state: "leaving" })] }, "is leaving"],
    ["itself", { member: ["berlin"] }, { members: [member({ self: true, age_seconds: null })] }, undefined],
    ["itself, not ready", { member: ["berlin"] }, { ready: false, members: [member({ self: true })] }, "no calls yet"],
    ["a position it has", { position: "aaaaaaaaaa-7" }, {}, undefined],
    ["a position to come", { position: "aaaaaaaaaa-8" }, {}, "is at aaaaaaaaaa-7, not yet at aaaaaaaaaa-8"],
    [
      "a condition that holds",
      { without: ["disk_full"] },
      { conditions: [{ code: "disk_full", severity: "error" }] },
      "disk_full holds",
    ],
    ["another one", { without: ["disk_full"] }, { conditions: [{ code: "starting", severity: "info" }] }, undefined],
  ];
  test.each(rows)("%s", async (_what, options, state, missing) => {
    Object.assign(played, state);
    expect(await run(options)).toBe(missing === undefined ? 0 : 3);
    if (missing === undefined) expect(said).toBe("");
    else expect(said).toContain(missing);
  });
});

test("it ends as soon as everything holds, and asks again until then", async () => {
  played.leader = "";
  played.ready = false;
  // Each look is two calls: the leader is there at the third, the node is ready at the fourth.
  onCall = (count) => {
    if (count === 5) played.leader = "berlin";
    if (count === 8) played.ready = true;
    return undefined;
  };
  expect(await run({ leader: true, ready: true, timeout: "600" })).toBe(0);
  expect(calls.length).toBe(8);
});

test("a node that is not there, or busy, is waited for; what it refuses for good ends the wait", async () => {
  onCall = (count) =>
    count === 1 ? Response.json({ code: "not_ready", detail: "later" }, { status: 503 }) : undefined;
  expect(await run({ timeout: "600" })).toBe(0);
  onCall = () => Response.json({ code: "forbidden", detail: "no" }, { status: 403 });
  expect((await refusal(run({ timeout: "600" }))).code).toBe("forbidden");
  await server.stop(true);
  expect(await run({})).toBe(3);
  expect(said).toContain("No node answers at");
});

test("a position of another epoch is judged by the node: one that it never had ends the wait", async () => {
  expect(await run({ position: "bbbbbbbbbb-3" })).toBe(0);
  expect(calls).toContain("context_list");
  onCall = (count) =>
    calls[count - 1] === "context_list"
      ? Response.json({ code: "history_forked", detail: "other" }, { status: 410 })
      : undefined;
  expect((await refusal(run({ position: "bbbbbbbbbb-3", timeout: "600" }))).code).toBe("history_forked");
});

test("the signal ends the wait at once, also while the node does not answer", async () => {
  const end = new AbortController();
  const hang = Promise.withResolvers<void>();
  await server.stop(true);
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch() {
      hang.resolve();
      await new Promise(() => {});
      return new Response();
    },
  });
  const waiting = waitFor(
    invoke({}),
    { conditions: [], position: undefined },
    { timeoutMs: 600_000, signal: end.signal },
  );
  await hang.promise;
  end.abort(new Error("ended by the test"));
  expect((await refusal(waiting)).message).toBe("ended by the test");
});

test.each([
  [{ position: "seven" }, "--position must be a position"],
  [{ without: ["Disk Full"] }, "--without must be the code of a condition"],
])("%j is refused before anything is asked", (options, text) => {
  const fault = faultOf(() => wantedBy(invoke(options)));
  expect([fault.code, fault.message]).toEqual(["invalid_input", expect.stringContaining(text)]);
});
