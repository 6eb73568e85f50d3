// Probes over a store and a log, with a real HTTP server and a clock of the test: states, what is told, a node that is
// cut off itself, changes of leader, mutes, beats, members.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { callerWith, granted } from "../kit/core.ts";
import { startProbes } from "../kit/probes.ts";
import { refusal } from "../kit/refusal.ts";

let fleet: ReturnType<typeof startProbes>;
beforeEach(() => {
  fleet = startProbes();
});
afterEach(() => fleet[Symbol.asyncDispose]());

const REPEAT = 4;

/** What a server answers, what is expected, and what is said. */
const ANSWERS: readonly [object, object, string][] = [
  [{ slowMs: 80 }, { latency_ms: 50 }, "it took 80 ms; at most 50 are expected"],
  [{ status: 404 }, {}, "status 404; expected is 2xx, 3xx"],
  [{ status: 204, body: "" }, { status: [200, "3xx"] }, "status 204; expected is 200, 3xx"],
  [{ body: "\u0000\u0001 garbage" }, { contains: "well" }, 'the body lacks "well"'],
  [{ body: "<html>" }, { json: [{ path: "/a" }] }, "the body is no JSON, or longer than 256 KiB"],
  [{ body: '{"a":{"b":[1]}}' }, { json: [{ path: "/a/c" }] }, "the JSON has no /a/c"],
  [{ body: '{"a":{"b":[1]}}' }, { json: [{ path: "/a/b/0", equals: 2 }] }, "/a/b/0 is 1; expected is 2"],
  [{ body: '{"a":7}' }, { json: [{ path: "/a", above: 7 }] }, "/a is 7; expected is above 7"],
  [{ body: '{"a":7}' }, { json: [{ path: "/a", below: 7 }] }, "/a is 7; expected is below 7"],
  [{ body: '{"a":"x"}' }, { json: [{ path: "/a", below: 7 }] }, '/a is no number but "x"'],
  [{ body: '{"__proto__":7}' }, { json: [{ path: "/toString" }] }, "the JSON has no /toString"],
];

/** Without what the kit declares of a probe by HTTP. */
const BARE = { target: undefined, retry: undefined, timeout: undefined };
const BEAT = { ...BARE, type: "beat", interval: 900, grace: 60 };

describe("a server", () => {
  test("that is well is up, and writes nothing while it stays so", async () => {
    await fleet.declareProbe("web", { expect: { contains: "well" } });
    await fleet.pass(20);
    expect(fleet.states()).toEqual(["web up"]);
    const { seq } = fleet.log.position();
    await fleet.pass(200, 20);
    expect(fleet.log.position().seq).toBe(seq);
    const { results, probe } = await fleet.call("probe_get", { name: "web" });
    expect((results as object[]).length).toBeGreaterThan(10);
    expect(results).toMatchObject([{ node: "", good: true, latency_ms: 0 }, ...(results as object[]).slice(1)]);
    expect(probe).toMatchObject({ name: "web", space: "fleet", state: "up", places: [{ node: "", told: false }] });
  });

  test("that fails is suspect, then down, then up again, and each is said once", async () => {
    await fleet.declareProbe("web");
    await fleet.pass(20);
    fleet.behaviour.status = 500;
    await fleet.pass(10);
    expect(fleet.states()).toEqual(["web suspect service"]);
    await fleet.pass(300);
    expect(fleet.states()).toEqual(["web down service"]);
    expect(fleet.member("a").conditions.list()[0]?.text).toContain("web: status 500");
    expect(fleet.member("a").conditions.list((space) => space !== "fleet")[0]?.text).toBe("1 probe is down");
    fleet.behaviour.status = 200;
    await fleet.pass(60);
    expect(fleet.states()).toEqual(["web up"]);
    expect(fleet.outcomes()).toEqual(["recovered", "suspect", "down", "up"]);
    expect(fleet.member("a").conditions.list()).toEqual([]);
    expect(await fleet.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("that flaps is not down, and is written a few times an hour", async () => {
    await fleet.declareProbe("web", { interval: 5 });
    await fleet.pass(20);
    for (let at = 0; at < 120; at += 1) {
      fleet.behaviour.status = at % 2 === 0 ? 500 : 200;
      await fleet.pass(5);
    }
    expect(fleet.outcomes()).not.toContain("down");
    expect(fleet.outcomes().length).toBeLessThanOrEqual(1 + 2 * REPEAT);
  });

  test("that hangs is down by its timeout", async () => {
    await fleet.declareProbe("web", { down: 1 });
    await fleet.pass(20);
    fleet.behaviour.hangs = true;
    await fleet.pass(15);
    expect(fleet.states()).toEqual(["web down path"]);
    const { places } = (await fleet.call("probe_get", { name: "web" }))["probe"] as { places: { detail: string }[] };
    expect(places[0]?.detail).toBe("no answer within 1 s");
  });

  test("is down for what it answers, and the detail says why", async () => {
    for (const [at, [behaviour, expected, detail]] of ANSWERS.entries()) {
      Object.assign(fleet.behaviour, { status: 200, body: "all is well", slowMs: 0 }, behaviour);
      await fleet.declareProbe(`web-${at}`, { expect: expected });
      const { results } = await fleet.call("probe_check", { name: `web-${at}` });
      expect(results).toMatchObject([{ node: "", outcome: "bad", cause: "service" }]);
      expect([behaviour, (results as { detail: string }[])[0]?.detail]).toEqual([behaviour, detail]);
    }
  });

  test("is measured by a number of its answer", async () => {
    fleet.behaviour.body = '{"total_count":17}';
    await fleet.declareProbe("queue", { value: "/total_count" });
    await fleet.pass(15);
    const { results } = await fleet.call("probe_get", { name: "queue" });
    expect((results as object[]).at(-1)).toMatchObject({ value: 17, good: true });
    fleet.behaviour.body = '{"total_count":"many"}';
    expect((await fleet.call("probe_check", { name: "queue" }))["results"]).toMatchObject([
      { outcome: "bad", cause: "service", detail: '/total_count is no number; it is "many"' },
    ]);
  });
});

describe("nobody is alarmed", () => {
  test("where this node is cut off itself", async () => {
    await fleet.declareProbe("web");
    await fleet.pass(20);
    fleet.member("a").around.out = false;
    fleet.member("a").around.control = false;
    await fleet.pass(300);
    expect(fleet.states()).toEqual(["web unknown network"]);
    fleet.member("a").around.out = true;
    await fleet.pass(60);
    expect(fleet.states()).toEqual(["web up"]);
    expect(fleet.outcomes()).toEqual(["recovered", "unknown", "recovered"]);
  });

  test("but it is, where only the control server is away", async () => {
    await fleet.declareProbe("web");
    await fleet.pass(20);
    fleet.member("a").around.control = false;
    fleet.behaviour.status = 503;
    await fleet.pass(60);
    expect(fleet.states()).toEqual(["web down service"]);
  });

  test("within the start grace, and for what depends on something that is down", async () => {
    fleet.behaviour.status = 500;
    await fleet.declareProbe("router", { down: 1 });
    await fleet.pass(15);
    await fleet.declareProbe("web", { depends_on: ["router"], down: 1 });
    await fleet.declareProbe("slow-start", { down: 1, grace: 60 });
    await fleet.pass(45);
    expect(fleet.states()).toEqual(["router down service", "web unknown dependency"]);
    await fleet.pass(30);
    expect(fleet.states()).toEqual(["router down service", "slow-start down service", "web unknown dependency"]);
  });

  test("while it is muted; when the mute ends and it is down, that is said once", async () => {
    await fleet.declareProbe("web", { down: 1 });
    await fleet.pass(20);
    expect(await fleet.call("probe_mute", { name: "web", seconds: 120, reason: "new disk" })).toMatchObject({
      muted_until: expect.any(String),
    });
    fleet.behaviour.status = 500;
    await fleet.pass(60);
    expect(fleet.outcomes()).toEqual(["recovered", "down_quiet"]);
    expect(fleet.member("a").conditions.list()).toEqual([]);
    await fleet.pass(120);
    expect(fleet.outcomes()).toEqual(["recovered", "down_quiet", "down"]);
    await fleet.call("probe_mute", { name: "web", seconds: 600 });
    fleet.behaviour.status = 200;
    await fleet.pass(60);
    expect(fleet.outcomes()).toEqual(["recovered", "down_quiet", "down", "up"]);
    fleet.behaviour.status = 500;
    await fleet.pass(30);
    fleet.behaviour.status = 200;
    await fleet.pass(30);
    await fleet.call("probe_mute", { name: "web", seconds: 0 });
    await fleet.pass(30);
    // What failed and was mended within a mute is said by nobody.
    expect(fleet.outcomes().slice(4)).toEqual(["down_quiet", "recovered"]);
  });

  test("in a maintenance window of its zone", async () => {
    // The clock begins at 12:00 UTC, which is 13:00 in Berlin.
    const maintenance = [{ pattern: "0 13 * * *", timezone: "Europe/Berlin", minutes: 10 }];
    await fleet.declareProbe("web", { down: 1, maintenance });
    await fleet.pass(20);
    fleet.behaviour.status = 500;
    await fleet.pass(60);
    expect(fleet.outcomes()).toEqual(["recovered", "down_quiet"]);
    await fleet.pass(600, 10);
    expect(fleet.outcomes()).toEqual(["recovered", "down_quiet", "down"]);
  });

  test("while it is paused, and it goes on where it was", async () => {
    await fleet.declareProbe("web", { down: 1 });
    await fleet.pass(20);
    await fleet.call("probe_pause", { name: "web", reason: "moved" });
    fleet.behaviour.status = 500;
    await fleet.pass(120);
    expect(fleet.outcomes()).toEqual(["recovered"]);
    const { probes } = await fleet.call("probe_list", { state: "paused" });
    expect(probes).toMatchObject([{ name: "web", state: "paused", reason: "moved" }]);
    await fleet.call("probe_resume", { name: "web" });
    await fleet.pass(20);
    expect(fleet.outcomes()).toEqual(["recovered", "down"]);
  });
});

describe("another leader", () => {
  beforeEach(async () => {
    await fleet[Symbol.asyncDispose]();
    fleet = startProbes(["a", "b"]);
  });

  test("goes on without an alarm of its own, and says up for what the one before said", async () => {
    await fleet.declareProbe("web");
    await fleet.pass(20);
    fleet.lead("b");
    await fleet.pass(60);
    expect(fleet.outcomes()).toEqual(["recovered"]);
    fleet.behaviour.status = 500;
    await fleet.pass(60);
    fleet.restart("a");
    fleet.lead("a");
    await fleet.pass(60);
    expect(fleet.states()).toEqual(["web down service"]);
    fleet.behaviour.status = 200;
    await fleet.pass(60);
    expect(fleet.outcomes()).toEqual(["recovered", "suspect", "down", "up"]);
  });

  test("begins to count anew for what was suspect", async () => {
    await fleet.declareProbe("web", { down: 3 });
    await fleet.pass(20);
    fleet.behaviour.status = 500;
    await fleet.pass(10);
    fleet.lead("b");
    fleet.behaviour.status = 200;
    await fleet.pass(30);
    expect(fleet.outcomes()).toEqual(["recovered", "suspect", "recovered"]);
  });

  test("does not say that a probe is up before it was, also one that is suspect and was told to be down", async () => {
    await fleet.declareProbe("router", { down: 1 });
    await fleet.declareProbe("web", { down: 2, retry: 60, interval: 60, depends_on: ["router"] });
    await fleet.pass(20);
    fleet.behaviour.status = 500;
    fleet.member("a").runner.lead(true);
    await fleet.call("probe_check", { name: "web" });
    await fleet.call("probe_check", { name: "web" });
    await fleet.member("a").watch.look(new AbortController().signal);
    await fleet.call("probe_check", { name: "router" });
    await fleet.call("probe_check", { name: "web" });
    await fleet.member("a").watch.look(new AbortController().signal);
    expect(fleet.states()).toEqual(["router down service", "web unknown dependency"]);
    // So long after the last one another `suspect` is said.
    fleet.clock.nowMs += 601_000;
    await fleet.declareProbe("router", { type: "dns", target: "good.example" });
    await fleet.call("probe_check", { name: "router" });
    await fleet.call("probe_check", { name: "router" });
    await fleet.member("a").watch.look(new AbortController().signal);
    await fleet.call("probe_check", { name: "web" });
    await fleet.member("a").watch.look(new AbortController().signal);
    expect(fleet.states()).toEqual(["router up", "web suspect service"]);
    fleet.lead("b");
    await fleet.look();
    expect(fleet.states()).toEqual(["router up", "web suspect service"]);
    await fleet.pass(180);
    expect(fleet.states()).toEqual(["router up", "web down service"]);
    expect(fleet.outcomes().filter((each) => each === "up")).toHaveLength(1);
  });

  test("only the leader runs what is the leader's", async () => {
    await fleet.declareProbe("web");
    await fleet.pass(20);
    expect(fleet.member("b").runner.results("web")).toBeUndefined();
    expect(fleet.member("a").runner.results("web")?.length).toBeGreaterThan(0);
  });

  test("members run what names them, and say nothing while they are silent", async () => {
    await fleet.declareProbe("disk", { where: "label:of-b", down: 1 });
    await fleet.declareProbe("every", { where: "all" });
    await fleet.declareProbe("one", { where: "member:a" });
    await fleet.pass(30);
    expect(fleet.states()).toEqual(["disk n-b up", "every n-a up", "every n-b up", "one n-a up"]);
    fleet.behaviour.status = 500;
    fleet.member("b").isSilent = true;
    await fleet.pass(90);
    expect(fleet.states()).toContain("disk n-b unknown machine");
    expect(fleet.states()).toContain("every n-a down service");
    fleet.member("b").isSilent = false;
    await fleet.pass(30);
    expect(fleet.states()).toContain("disk n-b down service");
    await fleet.declareProbe("disk", { where: "label:of-a" });
    await fleet.remove("every");
    fleet.behaviour.status = 200;
    await fleet.pass(60);
    expect(fleet.states()).toEqual(["disk n-a up", "one n-a up"]);
  });

  test("says that it knows nothing of a member that went with the leader", async () => {
    await fleet.declareProbe("every", { where: "all" });
    await fleet.pass(30);
    fleet.member("a").isSilent = true;
    fleet.lead("b");
    await fleet.pass(25);
    expect(fleet.states()).toEqual(["every n-a up", "every n-b up"]);
    await fleet.pass(20);
    expect(fleet.states()).toEqual(["every n-a unknown machine", "every n-b up"]);
    fleet.member("a").isSilent = false;
    await fleet.pass(30);
    expect(fleet.states()).toEqual(["every n-a up", "every n-b up"]);
  });

  test("a member is down when most of the others miss it too, and else the path is", async () => {
    const { around } = fleet.member("a");
    await fleet.declareProbe("b", { type: "ping", target: "b", down: 1 });
    await fleet.pass(15);
    expect(fleet.states()).toEqual(["b up"]);
    around.members = around.members.map((each) => ({ ...each, away: each.name === "b" }));
    fleet.setMissing({ missing: 0, asked: 2 });
    await fleet.pass(15);
    expect(fleet.states()).toEqual(["b down path"]);
    fleet.setMissing({ missing: 2, asked: 2 });
    await fleet.pass(15);
    expect(fleet.states()).toEqual(["b down machine"]);
  });
});

describe("a command", () => {
  const COMMAND = { ...BARE, type: "command", interval: 10, down: 1 };

  test("runs where its node agrees, and nowhere else", async () => {
    await fleet[Symbol.asyncDispose]();
    fleet = startProbes(["a", "b"]);
    fleet.member("b").around.agreed.push("probe/disk");
    await fleet.declareProbe("disk", { ...COMMAND, where: "all", command: ["true"] });
    await fleet.declareProbe("other", { ...COMMAND, command: ["true"] });
    await fleet.pass(30);
    expect(fleet.states()).toEqual(["disk n-b up", "other unknown consent"]);
  });

  test("is judged by exit code and output, gets its variables, and has no shell", async () => {
    fleet.member("a").around.agreed.push("*");
    const checked = async (name: string, more: object) => {
      await fleet.declareProbe(name, { ...COMMAND, ...more });
      return ((await fleet.call("probe_check", { name }))["results"] as object[])[0];
    };
    expect(await checked("ok", { command: ["sh", "-c", "exit 3"], expect: { exit_code: 3 } })).toMatchObject({
      outcome: "good",
    });
    expect(await checked("no", { command: ["sh", "-c", "echo a >&2; echo disk full >&2; exit 2"] })).toMatchObject({
      ...{ outcome: "bad", cause: "service", detail: "exit code 2; expected is 0: disk full" },
    });
    const environment = { TOKEN: "secret:API", PLAIN: "x" };
    const shown = { command: ["sh", "-c", "echo [$TOKEN] [$PLAIN]"], environment };
    expect(await checked("env", { ...shown, expect: { contains: "[value of secret:API] [x]" } })).toMatchObject({
      outcome: "good",
    });
    expect(await checked("words", { command: ["echo", "$HOME; ls"], expect: { contains: "$HOME; ls" } })).toMatchObject(
      { outcome: "good" },
    );
    expect(await checked("number", { command: ["echo", '{"free":12}'], value: "/free" })).toMatchObject({ value: 12 });
    expect(await checked("none", { command: ["/no/such/program"] })).toMatchObject({
      outcome: "bad",
      cause: "service",
    });
    expect(await checked("long", { command: ["sleep", "60"], timeout: 1 })).toMatchObject({
      ...{ outcome: "bad", detail: expect.stringContaining("within 1 s") },
    });
  });
});

describe("beats", () => {
  test("keep it up; it is down when none comes, or one says so", async () => {
    await fleet.declareProbe("job", BEAT);
    await fleet.pass(30);
    expect(fleet.states()).toEqual([]);
    expect(await fleet.call("probe_beat", { name: "job", text: "42 files" })).toEqual({ name: "job", counted: true });
    await fleet.pass(900, 60);
    expect(fleet.states()).toEqual(["job up"]);
    await fleet.pass(200, 60);
    expect(fleet.states()).toEqual(["job down service"]);
    await fleet.call("probe_beat", { name: "job" });
    await fleet.pass(10);
    await fleet.call("probe_beat", { name: "job", good: false, text: "disk\u001b[2J\nfull" });
    await fleet.pass(10);
    const { probes } = await fleet.call("probe_list", {});
    expect(probes).toMatchObject([
      { state: "down", places: [{ detail: "disk\\u{1b}[2J\\nfull" }], last_beat: expect.any(String) },
    ]);
    expect(fleet.outcomes()).toEqual(["recovered", "down", "up", "down"]);
    expect(await fleet.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("that come often are seldom written, and a new leader waits for the next one", async () => {
    await fleet[Symbol.asyncDispose]();
    fleet = startProbes(["a", "b"]);
    await fleet.declareProbe("job", { ...BEAT, interval: 60, grace: 10 });
    for (let at = 0; at < 60; at += 1) {
      await fleet.call("probe_beat", { name: "job" });
      await fleet.pass(10, 10);
    }
    const kept = "SELECT COUNT(*) AS count FROM changes WHERE operation = 'probe_beat_keep'";
    expect(fleet.store.reader.get<{ count: number }>(kept)?.count).toBeLessThanOrEqual(REPEAT);
    fleet.lead("b");
    await fleet.pass(60, 10);
    expect(fleet.states()).toEqual(["job up"]);
    await fleet.pass(30, 10);
    expect(fleet.states()).toEqual(["job down service"]);
  });

  test("are taken for probes of beats alone", async () => {
    await fleet.declareProbe("web");
    await fleet.declareProbe("job", BEAT);
    await fleet.look();
    expect((await refusal(fleet.call("probe_beat", { name: "web" }))).message).toContain("takes no beats");
    expect((await refusal(fleet.call("probe_check", { name: "job" }))).message).toContain("counts beats");
    expect((await refusal(fleet.call("probe_beat", { name: "none" }))).code).toBe("not_found");
  });
});

test("rights are those of the space that a probe declares", async () => {
  await fleet.declareProbe("web");
  await fleet.declareProbe("job", { ...BEAT, space: "ops" });
  await fleet.pass(10);
  const operator = granted({ role: "operator", spaces: ["ops"] });
  const member = granted({ role: "member", spaces: ["ops"] });
  const reader = granted({ role: "reader", spaces: ["ops"] });
  const names = async (caller: typeof reader) =>
    ((await fleet.call("probe_list", {}, caller))["probes"] as { name: string }[]).map(({ name }) => name);
  expect(await names(reader)).toEqual(["job"]);
  expect(await names(granted({ role: "reader", spaces: ["fleet"] }))).toEqual(["web"]);
  const ops = { name: "job", space: "ops" };
  expect(await fleet.call("probe_mute", { ...ops, seconds: 60 }, operator)).toMatchObject({ name: "job" });
  expect(await fleet.call("probe_beat", ops, member)).toMatchObject({ counted: true });
  const code = async (operation: string, input: object, caller = reader) =>
    (await refusal(fleet.call(operation, input, caller))).code;
  expect(await code("probe_beat", ops)).toBe("forbidden");
  for (const operation of ["probe_pause", "probe_resume", "probe_check"])
    expect(await code(operation, ops, member)).toBe("forbidden");
  expect(await code("probe_get", { name: "web" }, operator)).toBe("forbidden");
  // A probe of another space is not found, whoever may use this one.
  expect(await code("probe_get", { name: "web", space: "ops" }, operator)).toBe("not_found");
  expect(await code("probe_list", { space: "fleet" }, callerWith())).toBe("forbidden");
});
