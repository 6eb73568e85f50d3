// Which member is chosen for work: against a naive reading of the rules on random fleets, and rule by rule.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { nodesNamed, type PickView, pickMember, type Wanted } from "../../src/fleet/placing/pick.ts";
import { pickCommand } from "../../src/fleet/placing/pick-command.ts";
import { busyOf } from "../../src/observe/machine/busy.ts";
import { machineOf } from "../kit/machine-source.ts";

const GIB = 1024 ** 3;

function view(name: string, more: Partial<PickView> = {}): PickView {
  return {
    node: `n-${name}`,
    name,
    tailnetName: name,
    role: "central",
    state: "active",
    self: false,
    votes: true,
    leader: false,
    position: "e-1",
    lag: 0,
    path: "direct",
    relay: "",
    round_trip_ms: 2,
    skew_ms: 0,
    fsync_p99_ms: null,
    version: "1",
    level: 1,
    age_seconds: 0.5,
    conditions: [],
    away: false,
    machine: machineOf(),
    machineAgeMs: 500,
    ...more,
  };
}

function wanted(more: Partial<Wanted> = {}): Wanted {
  return { labels: [], memoryBytes: 0, exclude: new Set(), allow: new Set(), ...more };
}

const names = (views: readonly { member: PickView }[]) => views.map(({ member: { name } }) => name);

describe("the member for a piece of work", () => {
  test("is the least busy one, and of equals the first by name", () => {
    const members = [
      view("d", { machine: machineOf({ load: 1.21 }) }),
      view("c", { machine: machineOf({ load: 0.4 }) }),
      view("b", { machine: machineOf({ load: 0.401 }) }),
      view("a", { machine: machineOf({ load: 0.1, pressure: { io: 55.2 } }) }),
    ];
    const { candidates, reason, rule } = pickMember(members, wanted());
    expect([names(candidates), rule]).toEqual([["b", "c", "d", "a"], "least_busy"]);
    expect(reason).toBe("the least busy of 4 that fit: 10 % busy (load); 4 CPUs; free memory unknown; direct, 2 ms");
    expect(candidates[3]?.reason).toStartWith("55 % busy (io pressure)");
  });

  test("is of equals the first by name whatever their ids, and of the same name the first by id", () => {
    const ids = (...members: PickView[]) => pickMember(members, wanted()).candidates.map(({ member }) => member.node);
    expect(ids(view("b", { node: "n-1" }), view("a", { node: "n-2" }))).toEqual(["n-2", "n-1"]);
    expect(ids(view("a", { node: "n-2" }), view("a", { node: "n-1" }))).toEqual(["n-1", "n-2"]);
    // The name that the tailnet proves is the one that counts.
    expect(ids(view("a", { tailnetName: "z" }), view("b"))).toEqual(["n-b", "n-a"]);
  });

  test("is not one that a word excludes: by id and by proved name, and no member shields another", () => {
    const members = [
      view("berlin", { node: "n-liar", tailnetName: "" }),
      view("old-name", { node: "n-real", tailnetName: "Berlin" }),
      view("berlin", { node: "n-paris", tailnetName: "paris" }),
    ];
    expect(nodesNamed("berlin", members)).toEqual(["n-liar", "n-real"]);
    expect(nodesNamed("n-paris", members)).toEqual(["n-paris"]);
    // What the tailnet calls otherwise does not have the name that it gives itself.
    expect([nodesNamed("old-name", members), nodesNamed("N-PARIS", members)]).toEqual([[], []]);
  });

  test("says what the rule prefers only of one that has it, and what an unknown kind counts as", () => {
    const off = view("off", { machine: machineOf({ load: 0.4 }) });
    const busy = view("busy", { machine: machineOf({ load: 4, labels: ["always-on"] }) });
    const on = view("on", { machine: machineOf({ load: 1, labels: ["always-on"] }) });
    const start = (kind: string, ...members: PickView[]) => pickMember(members, wanted({ kind })).reason.split(": ")[0];
    expect(start("transcription", off, on)).toBe(
      "for work that takes long one with the label always-on, then the least busy, of 2 that fit",
    );
    expect(start("transcription", off, view("other"))).toBe(
      "for work that takes long the least busy, because none has the label always-on, of 2 that fit",
    );
    expect(start("transcription", off, busy)).toBe(
      "for work that takes long the least busy, because those with the label always-on are at least 80 % busy, of 2 that fit",
    );
    const said = "; thumbnail is treated as light work, because only transcription is known to take long";
    expect(pickMember([off], wanted({ kind: "thumbnail" })).reason).toEndWith(said);
    expect(pickMember([off], wanted({ sizeBytes: 1 })).reason).not.toContain("treated as");
  });

  test("may be away where that is allowed; one that is stale by then says that this is to be allowed, too", () => {
    const gone = view("gone", { away: true, age_seconds: 42, machineAgeMs: 42_000 });
    const against = (member: PickView, ...allow: ("away" | "stale")[]) =>
      pickMember([member], wanted({ allow: new Set(allow) })).leftOut.map(({ reason }) => reason);
    expect(against(gone, "away")).toEqual(["what it said of its machine is 42 s old: allow stale too"]);
    expect(against({ ...gone, away: false }, "away")).toEqual(["what it said of its machine is 42 s old"]);
    expect(against(gone, "away", "stale")).toEqual([]);
  });

  test("follows the rules of seed 001: large work to power, long work to what never sleeps, light work to the rest", () => {
    const members = [
      view("macmini", { machine: machineOf({ cores: 8, load: 2, labels: ["darwin", "gpu"] }) }),
      view("oci-vm", { machine: machineOf({ cores: 2, load: 0.9, labels: ["linux", "always-on"] }) }),
      view("rpi4", { machine: machineOf({ cores: 1, load: 0.6, labels: ["linux", "arm64"] }) }),
    ];
    const first = (more: Partial<Wanted>) => {
      const { candidates, rule } = pickMember(members, wanted(more));
      return `${rule}: ${candidates[0]?.member.name}`;
    };
    expect(first({ kind: "transcription", sizeBytes: 500_000_000 })).toBe("large: macmini");
    expect(first({ sizeBytes: 1_000_001 })).toBe("large: macmini");
    expect(first({ sizeBytes: 1_000_000, kind: "transcription" })).toBe("long: oci-vm");
    expect(first({ kind: "thumbnail" })).toBe("light: rpi4");
    expect(first({ sizeBytes: 10 })).toBe("light: rpi4");
    // Without kind and size only how busy they are counts.
    expect(first({})).toBe("least_busy: macmini");
    // A rule prefers; what is wanted excludes.
    expect(first({ kind: "transcription", labels: ["gpu"] })).toBe("long: macmini");
  });

  test("is not the preferred one where that is busy, unless all are", () => {
    const busy = machineOf({ cores: 16, load: 12.8 });
    const members = [view("big", { machine: busy }), view("small", { machine: machineOf({ cores: 1, load: 0.7 }) })];
    expect(names(pickMember(members, wanted({ sizeBytes: 2_000_000 })).candidates)).toEqual(["small", "big"]);
    const alone = pickMember([view("big", { machine: busy })], wanted());
    expect(alone.reason).toStartWith("the only one that fits: 80 % busy");
    expect(alone.reason).toEndWith("; every one is at least 80 % busy");
  });

  test("runs, is full, keeps up and says how it does: the others are left out, each with its reason", () => {
    const old = machineOf();
    const members = [
      view("away", { away: true, age_seconds: 42.4 }),
      view("edge", { role: "edge" }),
      view("lagging", { lag: 1001 }),
      view("leaving", { state: "leaving" }),
      view("old-build", { machine: undefined, version: "0.9" }),
      view("silent", { age_seconds: null, away: true, machine: undefined }),
      view("stale", { machineAgeMs: 15_001 }),
      view("unwanted"),
      view("weak", { machine: { ...old, memoryFree: GIB, labels: ["gpu"] } }),
      view("plain", { machine: { ...old, memoryFree: 8 * GIB } }),
      view("unknown", { machine: { ...old, labels: ["gpu"] } }),
      view("fits", { lag: 1000, machineAgeMs: 15_000, machine: { ...old, memoryFree: 4 * GIB, labels: ["gpu"] } }),
    ];
    const asked = wanted({ labels: ["gpu"], memoryBytes: 4 * GIB, exclude: new Set(["n-unwanted"]) });
    const { candidates, leftOut } = pickMember(members, asked);
    expect(names(candidates)).toEqual(["fits"]);
    expect(Object.fromEntries(leftOut.map((each) => [each.member.name, `${each.because}: ${each.reason}`]))).toEqual({
      away: "away: it was last heard 42 s ago",
      edge: "edge: it is an edge, which keeps no copy of the store",
      lagging: "lagging: it is 1001 changes behind the leader",
      leaving: "leaving: it is leaving the fleet",
      "old-build": "no_facts: its build 0.9 says nothing of how busy its machine is",
      plain: "labels: it lacks gpu",
      silent: "silent: nothing was heard of it since this node started",
      stale: "stale: what it said of its machine is 15 s old",
      unknown: "memory: its free memory is unknown",
      unwanted: "excluded: it was excluded",
      weak: "memory: 1.0 GiB are free, and 4.0 GiB are wanted",
    });
    expect(pickMember(members.slice(0, 3), wanted())).toMatchObject({ candidates: [], reason: "no member fits" });
    const allowed = pickMember(members, wanted({ allow: new Set(["away", "edge", "lagging", "stale"] as const) }));
    expect(names(allowed.candidates)).toEqual(expect.arrayContaining(["away", "edge", "lagging", "stale"]));
    // What was never heard of is not there, whatever is allowed.
    expect(names(allowed.leftOut)).toEqual(["leaving", "old-build", "silent"]);
  });

  test("holds on random fleets: all that is wanted, and none that fits is better", () => {
    // Most values fit, so that there is something to choose from.
    const mostly = <T>(usual: T, ...others: T[]) =>
      fc.oneof({ weight: 9, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });
    let choices = 0;
    const anyMember = fc.record({
      name: fc.constantFrom("a", "b", "c", "d", "e", "f"),
      role: mostly("central", "regional", "edge"),
      state: mostly("active", "leaving"),
      self: fc.boolean(),
      away: mostly(false, true),
      lag: mostly<number | null>(0, null, 1000, 1001),
      age_seconds: mostly<number | null>(0.4, null, 20),
      machineAgeMs: mostly(0, 15_000, 15_001),
      machine: fc.option(
        fc.record(
          {
            cores: fc.constantFrom(0.5, 1, 4, 8),
            load: fc.constantFrom(0, 0.2, 1, 3.2, 9),
            cpuPercent: fc.constantFrom(0, 40, 79.4, 79.6, 100),
            memoryFree: fc.constantFrom(0, GIB, 8 * GIB),
            labels: fc.subarray(["gpu", "always-on", "linux"]),
          },
          { requiredKeys: ["labels"] },
        ),
        { nil: undefined, freq: 9 },
      ),
    });
    const anyFleet = fc.uniqueArray(anyMember, { selector: ({ name }) => name, minLength: 3, maxLength: 6 });
    const anyWish = fc.record(
      {
        labels: mostly<string[]>([], ["gpu"], ["gpu", "always-on"]),
        memoryBytes: mostly(0, 1, 2 * GIB),
        kind: fc.constantFrom("transcription", "thumbnail"),
        sizeBytes: fc.constantFrom(0, 1_000_000, 1_000_001),
        exclude: fc.subarray(["n-a", "n-b"]).map((nodes) => new Set(nodes)),
        allow: fc.subarray(["away", "edge", "lagging", "stale"] as const).map((words) => new Set(words)),
      },
      { requiredKeys: ["labels", "memoryBytes", "exclude", "allow"] },
    );
    fc.assert(
      fc.property(anyFleet, anyWish, fc.boolean(), (fleet, wish, backwards) => {
        const members = fleet.map(({ machine, ...more }) =>
          view(more.name, { ...more, machine: machine && { os: "linux", arch: "x64", ageMs: 0, ...machine } } as never),
        );
        const found = pickMember(members, wish as Wanted);
        const expected = members.filter((each) => naivelyFits(each, wish as Wanted));
        expect(names(found.candidates).sort()).toEqual(expected.map(({ name }) => name).sort());
        expect(found.candidates.length + found.leftOut.length).toBe(members.length);
        const chosen = found.candidates[0]?.member;
        const others = expected.filter((other) => chosen !== undefined && other !== chosen);
        for (const other of others) expect(naivelyBetter(other, chosen ?? other, wish as Wanted)).toBe(false);
        if (others.length > 0) choices++;
        // The order in which members joined decides nothing.
        const again = pickMember(backwards ? members.toReversed() : members, wish as Wanted);
        expect(names(again.candidates)).toEqual(names(found.candidates));
      }),
      { numRuns: 500 },
    );
    expect(choices).toBeGreaterThan(100);
  });
});

function naivelyFits({ machine, ...member }: PickView, { labels, memoryBytes, exclude, allow }: Wanted): boolean {
  if (machine === undefined || busyOf(machine) === undefined) return false;
  if (exclude.has(member.node) || member.state !== "active") return false;
  if (!member.self && member.age_seconds === null) return false;
  if (member.away && !allow.has("away")) return false;
  if (member.role === "edge" && !allow.has("edge")) return false;
  if (member.lag !== null && member.lag > 1000 && !allow.has("lagging")) return false;
  if (member.machineAgeMs > 15_000 && !allow.has("stale")) return false;
  if (memoryBytes > 0 && (machine.memoryFree === undefined || machine.memoryFree < memoryBytes)) return false;
  return labels.every((label) => machine.labels.includes(label));
}

function naivelyBetter(one: PickView, other: PickView, { kind, sizeBytes }: Wanted): boolean {
  const [left, right] = [one, other].map(({ machine = machineOf(), name }) => {
    const percent = busyOf(machine)?.percent ?? 0;
    return { percent, isBusy: percent >= 80, cores: machine.cores ?? 0, labels: machine.labels, name };
  });
  if (left === undefined || right === undefined) throw new Error("there are two");
  if (left.isBusy !== right.isBusy) return right.isBusy;
  if ((sizeBytes ?? 0) > 1_000_000) {
    if (left.cores !== right.cores) return left.cores > right.cores;
  } else if (kind === "transcription") {
    const [on, off] = [left, right].map(({ labels }) => labels.includes("always-on"));
    if (on !== off) return on === true;
  } else if (kind !== undefined || sizeBytes !== undefined) {
    if (left.cores !== right.cores) return left.cores < right.cores;
  }
  return left.percent === right.percent ? left.name < right.name : left.percent < right.percent;
}

describe("cairn fleet pick", () => {
  test("reads sizes as people write them, and refuses others with the option's name", () => {
    const options = { label: ["gpu", "linux"], memory: "4GiB", size: "1500", exclude: ["berlin"], allow: ["edge"] };
    expect(pickCommand.input({ args: [], options: { ...options, kind: "transcription" } })).toEqual({
      labels: ["gpu", "linux"],
      memory_bytes: 4 * GIB,
      size_bytes: 1500,
      kind: "transcription",
      exclude: ["berlin"],
      allow: ["edge"],
    });
    expect(pickCommand.input({ args: [], options: {} })).toEqual({});
    expect(() => pickCommand.input({ args: [], options: { size: "4GB" } })).toThrow(
      '--size must be a number of bytes, not "4GB"',
    );
  });

  test("shows who is chosen and why, the others in order, and ends with a no where none fits", () => {
    const chosen = { name: "b", role: "central", reason: "3 % busy" };
    const out = { name: "c", role: "edge", because: "edge", reason: "it is an edge" };
    const answer = {
      member: chosen,
      reason: "the least busy",
      candidates: [chosen],
      left_out: [out],
      exclude_unknown: ["x"],
    };
    expect(pickCommand.show(answer, { args: [], options: {} })).toBe(
      "b: the least busy\n\n1  b  central  3 % busy\n-  c  edge     edge: it is an edge\nno member is called x\n",
    );
    expect([pickCommand.isNo?.(answer), pickCommand.isNo?.({ ...answer, member: null })]).toEqual([false, true]);
  });
});
