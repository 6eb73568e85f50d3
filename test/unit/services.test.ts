// Services on several members over one log: real programs under guards, failover, fences, what operators do, and who
// runs what.

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Copy } from "../../src/features/service/copy.ts";
import { serviceShape } from "../../src/features/service/declared.ts";
import { serviceEvents } from "../../src/features/service/events.ts";
import { eventually } from "../kit/eventually.ts";
import { isRunning } from "../kit/processes.ts";
import { startServices } from "../kit/services.ts";
import { temporaryFolder } from "../kit/temporary.ts";

type Fleet = ReturnType<typeof startServices>;

/** A program that says when it begins and ends, and whether another one of it runs. */
const PROGRAM = `if [ -s "$1.pid" ] && kill -0 "$(cat "$1.pid")" 2>/dev/null; then echo "twice $CAIRN_FENCE" >> "$1"; fi
  echo $$ > "$1.pid"; echo "begin $CAIRN_FENCE" >> "$1"
  trap 'echo "end $CAIRN_FENCE" >> "$1"; exit 0' TERM
  while :; do sleep 0.05; done`;

const sh = (script: string, ...words: string[]) => ({ argv: ["sh", "-c", script, "sh", ...words] });
const program = ({ folder }: Fleet, file = "log") => sh(PROGRAM, join(folder, file));

/** Returns the fences of the starts, each greater than the one before, and checks that no two ran at one time. */
async function starts(fleet: Fleet, file = "log"): Promise<string[]> {
  const lines = await fleet.lines(file);
  expect(lines.filter((line) => line.startsWith("twice"))).toEqual([]);
  const fences = lines.filter((line) => line.startsWith("begin")).map((line) => line.slice("begin ".length));
  const seqs = fences.map((fence) => Number(fence.split("-")[1]));
  expect(seqs).toEqual([...seqs].sort((one, other) => one - other));
  expect(new Set(seqs).size).toBe(seqs.length);
  return fences;
}

test("a service starts on its primary, with its own environment; it is shown with fence and output", async () => {
  await using fleet = startServices({ a: [], b: ["web"], c: ["web"] });
  const script = `echo "$CAIRN_SERVICE $CAIRN_FENCE $CAIRN_LEASE"; env; ${PROGRAM}`;
  await fleet.declareService("web", {
    ...sh(script, join(fleet.folder, "log")),
    ...{ primary: "b", backups: ["c"], fence: "resource", secrets: { TOKEN: "secret:T" }, port: 1234 },
  });
  const shown = await fleet.ready("web", "b");
  const [fence = ""] = await starts(fleet);
  expect(shown).toMatchObject({ state: "ready", fence: "resource", url: "/svc/web/", copies: [{ fence, name: "b" }] });
  const output = await eventually("its output is there", async () => {
    const shown = await fleet.as("ray", "service_output", { name: "web", space: "ops" });
    return String(shown["output"]).includes("PATH=") && String(shown["output"]);
  });
  expect(output).toStartWith(`web ${fence} ops/~services/web@${fence}\n`);
  expect(output).not.toContain("hidden");
  expect(output).not.toContain("value-of-");
  expect(fleet.outcomes("web")).toEqual(["starting", "ready"]);
  expect((await fleet.get("web")).next).toEqual(["is ready"]);
  // A write that carries the fence is taken while this is the newest start.
  const put = { id: "ops/state", content: "x", fence: `ops/~services/web@${fence}` };
  expect(await fleet.call("context_put", put)).toMatchObject({ version: 1 });
  const older = { ...put, fence: `ops/~services/web@1-${Number(fence.split("-")[1]) - 1}` };
  await expect(fleet.call("context_put", older)).rejects.toMatchObject({ code: "fence_stale" });
  // No lease takes its place: neither one of the service's own name, nor one of its starts, which nobody gets.
  await fleet.call("lease_acquire", { name: "ops/services/web" });
  expect(await fleet.call("context_put", put)).toMatchObject({ version: 2 });
  const taken = fleet.call("lease_acquire", { name: "ops/~services/web", wait_seconds: 60 });
  await expect(taken).rejects.toMatchObject({ code: "invalid_input", message: expect.stringContaining("~services") });
  expect(await fleet.call("audit_verify", {})).toMatchObject({ ok: true });
  const asked = fleet.asked();
  await Bun.sleep(1500);
  // Renewals come in a third of the lease; nodes without a copy ask nothing.
  expect(fleet.asked() - asked).toBeLessThanOrEqual(1);
}, 60_000);

test("a primary that is cut off ends it before the backup starts it; when it is back, the service goes back", async () => {
  await using fleet = startServices({ a: [], b: ["web"], c: ["web"] });
  await fleet.declareService("web", {
    ...program(fleet),
    primary: "b",
    backups: ["c"],
    lease: 5,
    failback: "stable:1",
  });
  await fleet.ready("web", "b");
  fleet.cut.add("b");
  fleet.away.add("b");
  await fleet.ready("web", "c");
  const lines = await fleet.lines("log");
  expect(lines.map((line) => line.split(" ")[0])).toEqual(["begin", "end", "begin"]);
  fleet.cut.delete("b");
  fleet.away.delete("b");
  await fleet.ready("web", "b");
  expect(await starts(fleet)).toHaveLength(3);
  expect(fleet.outcomes("web")).toEqual([
    ...["starting", "ready", "down", "starting", "moved", "stopping", "stopped", "starting", "moved"],
  ]);
  expect(await fleet.call("audit_verify", {})).toMatchObject({ ok: true });
}, 90_000);

test("without fail-back it stays at the backup; a new leader gives its lease a whole time and moves nothing", async () => {
  await using fleet = startServices({ a: [], b: ["web"], c: ["web"] });
  fleet.away.add("b");
  await fleet.declareService("web", { ...program(fleet), primary: "b", backups: ["c"], lease: 5 });
  await fleet.ready("web", "c");
  fleet.away.delete("b");
  fleet.leadAnew();
  const before = fleet.asked();
  await eventually("its lease is renewed twice", () => fleet.asked() >= before + 2);
  expect(fleet.outcomes("web")).toEqual(["starting", "ready"]);
  expect(await starts(fleet)).toHaveLength(1);
}, 60_000);

test("what ends by itself is started again with a new fence; after its attempts the next member gets it", async () => {
  await using fleet = startServices({ a: ["web"], b: ["web"] });
  const script = `echo "begin $CAIRN_FENCE" >> "$1"; [ "$(wc -l < "$1")" -gt 2 ] || { echo no disk >&2; exit 3; }; while :; do sleep 0.05; done`;
  const lasting = { ...sh(script, join(fleet.folder, "log")), ready: { argv: ["sh", "-c", "sleep 0.3"] } };
  await fleet.declareService("web", { ...lasting, primary: "a", backups: ["b"], attempts: 2, backoff: 0 });
  await fleet.ready("web", "b");
  expect(await starts(fleet)).toHaveLength(3);
  expect(fleet.outcomes("web")).toEqual(["starting", "failed", "starting", "failed", "starting", "ready"]);
}, 60_000);

test("one that does not become ready in time, or is not well any more, is ended and started again", async () => {
  await using fleet = startServices({ a: ["*"] });
  const flag = join(fleet.folder, "well");
  const check = { argv: ["test", "-e", flag] };
  const timing = { ready_timeout: 1, status_interval: 1, status_failures: 1, backoff: 0, attempts: 20 };
  await fleet.declareService("web", { ...program(fleet), ready: check, ...timing });
  await eventually("it failed", () => fleet.outcomes("web").includes("failed"));
  expect(fleet.rows("web")[0]?.reason).toContain("");
  await Bun.write(flag, "");
  await fleet.ready("web", "a");
  await Bun.file(flag).delete();
  await eventually("it is ended", () => fleet.outcomes("web").includes("down"));
  const down = fleet.store.reader.get("SELECT 1 FROM changes WHERE outcome = 'down' AND target = 'ops/services/web'");
  expect(down).not.toBeNull();
  await starts(fleet);
}, 60_000);

test("operators move, restart and drain; a plan says what would be done; others may not", async () => {
  await using fleet = startServices({ a: ["web"], b: ["web"], c: ["other"] });
  await fleet.declareService("other", { ...program(fleet, "other"), primary: "c" });
  await fleet.declareService("web", { ...program(fleet), primary: "a", backups: ["b"] });
  await fleet.ready("web", "a");
  const named = { name: "web", space: "ops" };
  for (const [operation, input] of [
    ["service_move", { ...named, to: "b" }],
    ["service_restart", named],
    ["fleet_drain", { node: "b" }],
  ] as const)
    await expect(fleet.as("ray", operation, input)).rejects.toMatchObject({ code: "forbidden" });
  await expect(fleet.as("zoe", "service_get", named)).rejects.toMatchObject({ code: "forbidden" });
  await expect(fleet.as("olga", "service_get", { name: "web" })).rejects.toMatchObject({ code: "forbidden" });
  await expect(fleet.as("olga", "service_move", { ...named, to: "c" })).rejects.toMatchObject({
    code: "invalid_input",
    message: '"c" does not agree to run web',
  });
  const { plan } = (await fleet.as("ray", "service_plan", { name: "web", without: ["a"] })) as {
    plan: { steps: string[] }[];
  };
  expect(plan).toMatchObject([
    {
      name: "web",
      now: expect.stringContaining("ready on a"),
      steps: ["wait for the end of its lease on a, at most 15 s", "start on b"],
      after: expect.stringContaining("ready on b"),
    },
  ]);
  expect(await fleet.as("ray", "service_plan", { name: "web" })).toMatchObject({
    plan: [{ steps: [], why: "is ready" }],
  });
  await fleet.as("olga", "service_move", { ...named, to: "b" });
  await fleet.ready("web", "b");
  await fleet.as("olga", "service_restart", named);
  await eventually("it was restarted", async () => (await fleet.lines("log")).length >= 5);
  await fleet.ready("web", "b");
  await fleet.call("fleet_drain", { node: "b", reason: "new disk" });
  await fleet.ready("web", "a");
  expect(await fleet.call("service_list", {})).toMatchObject({
    members: [
      { name: "a", services: ["web"], drained: false },
      { name: "b", services: [], drained: true, reason: "new disk" },
      { name: "c", services: ["other"], drained: false },
    ],
  });
  const { members } = (await fleet.as("ray", "service_list", {})) as { members: Record<string, unknown>[] };
  // Who may not read the space fleet learns neither who drained it nor why.
  expect(members[1]).toEqual({ node: "n-b", name: "b", services: [], drained: true });
  await fleet.call("fleet_undrain", { node: "n-b" });
  await fleet.as("olga", "service_move", named);
  await eventually("nothing is asked any more", () => fleet.rows("web")[0]?.asked === "");
  expect(fleet.rows("web")[0]).toMatchObject({ state: "ready", node: "n-a", pin: "" });
  expect(await starts(fleet)).toHaveLength(4);
  expect(await fleet.call("audit_verify", {})).toMatchObject({ ok: true });
  // Two moves and a restart; who asked is told apart from what came of it.
  expect(fleet.outcomes("web").filter((outcome) => outcome === "asked")).toHaveLength(3);
  expect(serviceEvents["cairn.service.asked"]).toMatchObject({ operations: ["service_move", "service_restart"] });
}, 90_000);

test("a copy on each member with the label; what is declared no more ends, and leaves nothing", async () => {
  await using fleet = startServices({ a: ["web"], b: ["web"], c: [] });
  const each = sh(PROGRAM, join(fleet.folder, "$CAIRN_FENCE"));
  await fleet.declareService("web", { ...each, where: "label:all", copies: "per_label" });
  await fleet.ready("web", "a");
  await fleet.ready("web", "b");
  expect(fleet.rows("web").map(({ copy, state }) => [copy, state])).toEqual([
    ["n-a", "ready"],
    ["n-b", "ready"],
  ]);
  await expect(fleet.as("olga", "service_move", { name: "web", space: "ops" })).rejects.toMatchObject({
    code: "invalid_input",
  });
  await fleet.call("context_delete", { id: "fleet/services/web" });
  await eventually("its rows are gone", () => fleet.rows().length === 0);
  expect(await fleet.call("audit_verify", {})).toMatchObject({ ok: true });
}, 60_000);

test("a changed declaration starts it anew; a disabled one ends it; what nobody agrees to run says why", async () => {
  await using fleet = startServices({ a: ["web"], b: [] });
  await fleet.declareService("web", program(fleet));
  await fleet.ready("web", "a");
  await fleet.declareService("web", { ...program(fleet), description: "the same program" });
  await fleet.declareService("web", { ...program(fleet), grace: 5 });
  await eventually("it was started anew", async () => (await fleet.lines("log")).length === 3);
  expect((await fleet.lines("log")).map((line) => line.split(" ")[0])).toEqual(["begin", "end", "begin"]);
  await fleet.declareService("web", { ...program(fleet), enabled: false });
  await eventually("it has ended", () => fleet.rows("web").length === 0);
  expect(await starts(fleet)).toHaveLength(2);
  await fleet.declareService("other", { ...program(fleet, "other"), primary: "b", backups: ["nas"] });
  const { next } = await fleet.get("other");
  expect(next).toEqual([
    "no member can run it: b: no full member of that name agrees to run services (fleet.run); nas: no full member of that name agrees to run services (fleet.run)",
  ]);
  await expect(fleet.as("olga", "service_work", { boot: "x", offers: ["other"], copies: [] })).rejects.toMatchObject({
    code: "forbidden",
  });
  expect(await fleet.lines("other")).toEqual([]);
}, 60_000);

test("the program that stops it is a part of it: nothing of it runs once it is said to have ended", async () => {
  await using fleet = startServices({ a: [], b: ["web"] });
  const log = join(fleet.folder, "log");
  const main = sh(`while [ ! -e "$1.stop" ]; do sleep 0.05; done`, log);
  const stop = ["sh", "-c", `echo $$ > "$1.pid"; touch "$1.stop"; sleep 100`, "sh", log];
  await fleet.declareService("web", { ...main, stop, grace: 60, lease: 60, primary: "b" });
  await fleet.ready("web", "b");
  await fleet.declareService("web", { ...main, stop, grace: 60, lease: 60, primary: "b", enabled: false });
  await eventually("it has ended", () => fleet.outcomes("web").at(-1) === "stopped");
  const pid = Number((await fleet.lines("log.pid"))[0]);
  expect(pid).toBeGreaterThan(1);
  expect(isRunning(pid)).toBe(false);
}, 60_000);

test("a member that is stopped hands its services over at once", async () => {
  await using fleet = startServices({ a: [], b: ["web"], c: ["web"] });
  await fleet.declareService("web", { ...program(fleet), primary: "b", backups: ["c"], lease: 300 });
  await fleet.ready("web", "b");
  await fleet.workers.get("b")?.stop();
  await fleet.ready("web", "c");
  expect((await fleet.lines("log")).map((line) => line.split(" ")[0])).toEqual(["begin", "end", "begin"]);
  expect(fleet.outcomes("web")).toEqual(["starting", "ready", "stopped", "starting", "moved"]);
}, 60_000);

test("a node that stops renews what takes longer than its lease to end; no other member starts it meanwhile", async () => {
  await using fleet = startServices({ a: [], b: ["web"], c: ["web"] });
  const slow = PROGRAM.replace("trap '", "trap 'sleep 7; ");
  const given = { primary: "b", backups: ["c"], lease: 5, grace: 30 };
  await fleet.declareService("web", { ...sh(slow, join(fleet.folder, "log")), ...given });
  await fleet.ready("web", "b");
  await fleet.workers.get("b")?.stop();
  await fleet.ready("web", "c");
  expect((await fleet.lines("log")).map((line) => line.split(" ")[0])).toEqual(["begin", "end", "begin"]);
  await starts(fleet);
  expect(fleet.outcomes("web").slice(0, 4)).toEqual(["starting", "ready", "stopping", "stopped"]);
}, 90_000);

test("the time of a start counts from when it was given: what its preparations take is not added", async () => {
  const file = join(temporaryFolder(), "ran");
  const shape = serviceShape.parse({ argv: ["touch", file], secrets: { TOKEN: "secret:T" } });
  const readSecret = () => {
    Bun.sleepSync(3100);
    return "value";
  };
  const command = [process.execPath, join(import.meta.dir, "../../src/main.ts")];
  const parts = { command, env: process.env, readSecret, artifact: async () => "" };
  const copy = new Copy({ name: "web", start: "ops/~services/web@1-2", fence: "1-2", shape }, parts, 3000, () => {});
  await copy.ended;
  expect([copy.state, existsSync(file)]).toEqual(["failed", false]);
});

test("without a primary a plan and a move go by the order that a start goes by", async () => {
  await using fleet = startServices({ c: ["*"], b: ["*"], a: ["*"] });
  await fleet.declareService("web", program(fleet));
  await fleet.ready("web", "c");
  const named = { name: "web", space: "ops" };
  expect(await fleet.as("ray", "service_plan", { name: "web", without: ["c"] })).toMatchObject({
    plan: [{ steps: [expect.stringContaining("lease on c"), "start on b"] }],
  });
  await fleet.as("olga", "service_move", named);
  await eventually("nothing is asked any more", () => fleet.rows("web")[0]?.asked === "");
  expect(fleet.rows("web")[0]).toMatchObject({ state: "ready", node: "n-c" });
  expect(await starts(fleet)).toHaveLength(1);
}, 60_000);

test("what was written by a start of another space is not for the readers of the space that is declared now", async () => {
  await using fleet = startServices({ a: ["*"] });
  await fleet.declareService("web", { ...program(fleet), primary: "a" });
  await fleet.ready("web", "a");
  expect(await fleet.call("service_output", { name: "web", space: "ops" })).toMatchObject({ running: true, node: "a" });
  // No member could start it again, so that start goes on.
  await fleet.declareService("web", { ...program(fleet), primary: "nobody", space: "lab" });
  expect(fleet.rows("web")[0]).toMatchObject({ state: "ready", space: "ops" });
  expect(await fleet.call("service_output", { name: "web", space: "lab" })).toEqual({
    ...{ name: "web", running: false, output: "", bytes: 0, note: "no start of it is known there" },
  });
}, 60_000);
