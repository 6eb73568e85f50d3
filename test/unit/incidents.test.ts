// Lines grouped into incidents: what begins one, what ends it, and what belongs to it.

import { describe, expect, test } from "bun:test";
import {
  type Line,
  lineOfChange,
  lineOfEvent,
  withoutSaid,
  withTold,
} from "../../src/features/event/pages/happened.ts";
import { type EndNow, groupLines } from "../../src/features/event/pages/incidents.ts";
import { thingAddress, thingOf } from "../../src/features/event/pages/things.ts";
import { exactSpanText } from "../../src/lib/span-text.ts";

const MINUTE = 60_000;

/** A line of an event so many minutes in. */
function at(minutes: number, type: string, subject: string, caller = "node", operation = "x"): Line {
  return lineOfEvent(eventAt(minutes, type, subject, { caller, operation }));
}

function eventAt(minutes: number, type: string, subject: string, said: { caller: string; operation: string }) {
  return {
    ...{ specversion: "1.0" as const, id: `e-${minutes}`, source: "node/cairn", type: `cairn.${type}`, subject },
    ...{ time: "", cairncaller: "node", cairnspace: "", cairntime: new Date(minutes * MINUTE).toISOString() },
    cairnposition: `e0-e${Math.round(minutes * 100)}`,
    data: { ...said, outcome: "y", position: "0-1" },
  };
}

const WEB = "ops/probes/web";
const WIKI = "ops/services/wiki";

function grouped(lines: readonly Line[], endNow: EndNow = () => undefined, nowMinutes = 1000) {
  const { incidents, rest } = groupLines(lines, {
    begins: ({ kind }) => ["service", "probe", "member"].includes(kind),
    ...{ endNow, nowMs: nowMinutes * MINUTE },
  });
  const minutes = (ms: number | undefined) => (ms === undefined ? undefined : ms / MINUTE);
  return {
    incidents: incidents.map(({ fromMs, untilMs, spells, lines: own }) => ({
      ...{ from: minutes(fromMs), until: minutes(untilMs), lines: own.length },
      spells: spells.map((spell) => [
        spell.thing.name,
        ...[minutes(spell.fromMs), minutes(spell.downMs), minutes(spell.untilMs), spell.isUnseen],
      ]),
    })),
    rest: rest.map(({ words }) => words),
  };
}

describe("an incident", () => {
  test("is from the first suspicion of a probe to its end, with when it was down", () => {
    expect(grouped([at(3, "probe.up", WEB), at(1, "probe.suspect", WEB), at(2, "probe.down", WEB)])).toEqual({
      incidents: [{ from: 1, until: 3, lines: 3, spells: [["web", 1, 2, 3, false]] }],
      rest: [],
    });
  });

  test("has all that goes bad within minutes of each other, and what happened meanwhile or just before", () => {
    const { incidents, rest } = grouped([
      at(0, "backup.done", "fleet/backups/n-b"),
      at(9.5, "settings.changed", "fleet/settings/history.max_days"),
      at(10, "member.down", "fleet/health/n-b"),
      at(11, "service.down", WIKI),
      at(12, "job.dead", "ops/jobs/1-7"),
      at(13, "service.moved", WIKI),
      at(30, "member.up", "fleet/health/n-b"),
      at(31, "job.dead", "ops/jobs/1-8"),
    ]);
    expect(incidents).toEqual([
      {
        ...{ from: 10, until: 30, lines: 6 },
        spells: [
          ["n-b", 10, 10, 30, false],
          ["wiki", 11, 11, 13, false],
        ],
      },
    ]);
    expect(rest).toEqual(["made a backup", "failed at all attempts"]);
  });

  test("that lasts does not take what goes bad long after: that is one of its own", () => {
    const { incidents } = grouped([
      at(0, "probe.down", "ops/probes/old"),
      at(60, "service.down", WIKI),
      at(61, "job.failed", "ops/jobs/1-7"),
      at(62, "service.ready", WIKI),
      at(90, "job.failed", "ops/jobs/1-8"),
    ]);
    expect(incidents.map(({ from, until, lines }) => [from, until, lines])).toEqual([
      [60, 62, 3],
      [0, undefined, 2],
    ]);
  });

  test("of a suspect that was not down has no end of its own: a second one says that it was over", () => {
    const suspects = [at(1, "probe.suspect", WEB), at(50, "probe.suspect", WEB)];
    expect(grouped(suspects).incidents.map(({ spells }) => spells)).toEqual([
      [["web", 50, undefined, undefined, false]],
      [["web", 1, undefined, undefined, true]],
    ]);
    const spellsAt = (end: ReturnType<EndNow>) => grouped(suspects, () => end).incidents[0]?.spells[0];
    expect(spellsAt({ untilMs: 52 * MINUTE })).toEqual(["web", 50, undefined, 52, false]);
    expect(spellsAt("gone")).toEqual(["web", 50, undefined, undefined, true]);
    // What is well since before it cannot be told when it ended.
    expect(spellsAt({ untilMs: 20 * MINUTE })).toEqual(["web", 50, undefined, undefined, true]);
  });

  test("whose beginning was not read ends with what says that it was down; ready alone says nothing", () => {
    expect(grouped([at(5, "probe.up", WEB), at(6, "service.ready", WIKI)])).toEqual({
      incidents: [{ from: 5, until: 5, lines: 1, spells: [["web", undefined, undefined, 5, false]] }],
      rest: ["is ready"],
    });
  });

  test("is one for each member that finds it bad, and joins those of the others", () => {
    const { incidents } = grouped([
      at(1, "probe.down", `${WEB}/n-a`),
      at(2, "probe.down", `${WEB}/n-b`),
      at(3, "probe.up", `${WEB}/n-a`),
      at(4, "probe.up", `${WEB}/n-b`),
    ]);
    expect(incidents.map(({ spells }) => spells)).toEqual([
      [
        ["web", 1, 1, 3, false],
        ["web", 2, 2, 4, false],
      ],
    ]);
  });
});

test("spans have their two largest units", () => {
  const spans = [0, 999, 5000, 59_999, 60_000, 312_000, 3_600_000, 3_601_000, 90_000_000, 86_400_000 + MINUTE];
  expect(spans.map(exactSpanText)).toEqual([
    ...["0 s", "0 s", "5 s", "59 s", "1 min", "5 min 12 s", "1 h", "1 h", "1 d 1 h", "1 d"],
  ]);
});

test("a subject names its thing, the member and the part, and leads to its page", () => {
  const link = (subject: string) => thingAddress(thingOf(subject));
  expect(thingOf("ops/probes/web/control")).toMatchObject({ key: WEB, kind: "probe", node: "" });
  expect(thingOf("ops/services/wiki/n-a")).toMatchObject({ key: WIKI, kind: "service", name: "wiki", node: "n-a" });
  expect(thingOf("fleet/health/n-a/disk_low")).toMatchObject({ kind: "member", node: "n-a", part: "disk_low" });
  expect(thingOf("fleet/backups/n-a").key).toBe("fleet/health/n-a");
  expect([
    link(WEB),
    link(`${WIKI}/n-a`),
    link("ops/jobs/1-7"),
    link("fleet/members/n-a"),
    link("ops/rules/r"),
  ]).toEqual([
    ...["/ui/probes/ops/web", "/ui/services/ops/wiki", "/ui/jobs/ops/1-7", "/ui/fleet"],
    "/ui/incidents?thing=ops%2Frules%2Fr",
  ]);
  expect(thingOf("x")).toMatchObject({ key: "x", kind: "other", space: "" });
});

test("who did it is said of people, and not of the fleet itself", () => {
  expect(at(1, "probe.controlled", `${WEB}/control`, "user:ann@x").by?.caller).toBe("user:ann@x");
  expect(at(1, "probe.down", WEB).by).toBeUndefined();
  const row = { time: "2026-01-01T00:00:00Z", operation: "service_restart", target: WIKI, outcome: "asked" };
  expect(lineOfChange({ ...row, caller: "user:ann@x" })).toMatchObject({ words: "service_restart: asked" });
  expect(lineOfChange({ ...row, caller: "node" })).toBeUndefined();
});

test("who asked for a move or a restart of a service is said once", () => {
  const said = { caller: "user:ann@x", operation: "service_move" };
  const asked = eventAt(1, "service.asked", WIKI, said);
  expect(lineOfEvent(asked)).toMatchObject({ words: "a move was asked for", by: { caller: "user:ann@x" } });
  expect(at(1, "service.asked", WIKI, "user:ann@x", "service_restart").words).toBe("a restart was asked for");
  const row = (minutes: number, operation: string) => ({
    ...{ time: new Date(minutes * MINUTE).toISOString(), caller: "user:ann@x", operation, target: WIKI, outcome: "y" },
  });
  const rows = [row(1, "service_move"), row(1, "context_put"), row(2, "service_move"), row(3, "probe_control")];
  // The audit says more of a control than its event does.
  const control = eventAt(3, "probe.controlled", `${WEB}/control`, { ...said, operation: "probe_control" });
  expect(withoutSaid(rows, [asked, control])).toEqual(rows.slice(1));
});

test("a line says who was told by the last attempt of each subscription", () => {
  const sent = { subscription: "ops/down", target: "phone", offset: 100, attempt: 1 };
  const later = (seconds: number) => new Date(MINUTE + seconds * 1000).toISOString();
  const [line, other] = withTold(
    [at(1, "probe.down", WEB), at(2, "probe.up", WEB)],
    [
      { ...sent, at: later(1), result: "failed" },
      { ...sent, at: later(4), result: "delivered", attempt: 2 },
      { ...sent, subscription: "ops/mail", target: "", at: later(9), result: "refused" },
      { ...sent, subscription: "ops/drop", at: later(9), result: "skipped" },
    ],
  );
  expect(line?.told).toEqual([
    "told phone (ops/down) after 4 s",
    "ops/mail was not told: attempt 1 refused",
    "not told to phone (ops/drop): a rule leaves it out",
  ]);
  expect(other?.told).toBeUndefined();
});
