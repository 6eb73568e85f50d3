// Contexts that expire: what each read and write makes of one whose time is over, before the leader has removed it and
// after; times at their extremes, and clocks that jump.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { contextsExpiring } from "../../src/features/context/expire.ts";
import { ExpireDuty } from "../../src/operation/expire-duty.ts";
import { MAX_EXPIRES_SECONDS } from "../../src/operation/expiring.ts";
import { type Core, granted, startCore } from "../kit/core.ts";
import { checkUsage } from "../kit/usage.ts";

const START_MS = Date.parse("2026-01-01T00:00:00.000Z");
const NEVER = new AbortController().signal;
const alice = granted({ role: "member", spaces: ["*"] });

/** A node whose clock the test moves; `tick` is a look of the leader. */
function startTimed() {
  const clock = { nowMs: START_MS };
  const core = startCore({ nowMs: () => clock.nowMs });
  const duty = new ExpireDuty({
    reader: core.store.reader,
    log: core.log,
    expiring: [contextsExpiring],
    onError: (error) => {
      throw error;
    },
  });
  /** Moves the clock, and makes the state as new: another write is applied. */
  const pass = async (seconds: number) => {
    clock.nowMs += 1000 * seconds;
    await core.call("context_put", { id: "clock/now", content: clock.nowMs });
  };
  return { core, clock, pass, tick: () => duty.look(NEVER) };
}

const put = (core: Core, id: string, more: Record<string, unknown> = {}) =>
  core.call("context_put", { id, content: "text", ...more }, alice);
const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => "",
    (error) => error.code,
  );
const idsOf = async (core: Core, input: Record<string, unknown> = {}) =>
  ((await core.call("context_list", { prefix: "a/", ...input })) as { contexts: { id: string }[] }).contexts.map(
    ({ id }) => id,
  );

describe("a context with a time", () => {
  test("says when it expires on every road, and keeps the time until a write names another", async () => {
    const { core, pass } = startTimed();
    await using _ = core;
    await put(core, "a/x", { expires_in: 60 });
    const until = "2026-01-01T00:01:00.000Z";
    for (const name of ["context_get", "context_metadata"])
      expect(await core.call(name, { id: "a/x" })).toMatchObject({ expires_at: until });
    const { contexts } = await core.call("context_list", { prefix: "a/", fields: ["expires_at"] });
    expect(contexts).toEqual([{ id: "a/x", expires_at: until }]);
    await pass(10);
    await put(core, "a/x", { content: "two" });
    await core.call("context_patch", { id: "a/x", format: "edit", patch: { op: "append", text: "!" } });
    await put(core, "a/x", { expires_in: 60 });
    await put(core, "a/x", { expires_in: 0 });
    const { versions } = (await core.call("context_history", { id: "a/x" })) as { versions: { expires_at?: string }[] };
    expect(versions.map(({ expires_at }) => expires_at)).toEqual([
      undefined,
      "2026-01-01T00:01:10.000Z",
      until,
      until,
      until,
    ]);
    expect(await core.call("context_get", { id: "a/x" })).not.toHaveProperty("expires_at");
  });

  test("is deleted for every read once the log is past its time, before the leader removes it and after", async () => {
    const { core, pass, tick } = startTimed();
    await using _ = core;
    await put(core, "a/x", { expires_in: 60, title: "Title" });
    await put(core, "a/y");
    await pass(59);
    await tick();
    expect([await idsOf(core), await codeOf(core.call("context_get", { id: "a/x" }))]).toEqual([["a/x", "a/y"], ""]);
    await pass(1);
    const looked = async () => ({
      list: await idsOf(core),
      get: await core.call("context_get", { id: "a/x" }).catch(({ code, message, hint }) => ({ code, message, hint })),
      grep: await codeOf(core.call("context_grep", { pattern: "text", id: "a/x" })),
      found: ((await core.call("context_grep", { pattern: "text", prefix: "a/" })) as { matches: unknown[] }).matches
        .length,
      diff: await codeOf(core.call("context_diff", { id: "a/x", from: 1 })),
      patch: await codeOf(core.call("context_patch", { id: "a/x", format: "edit", patch: [] })),
      remove: await codeOf(core.call("context_delete", { id: "a/x" })),
      stale: await codeOf(put(core, "a/x", { if_match: "*" })),
      deleted: (await core.call("context_metadata", { id: "a/x" }))["deleted"],
      first: (await core.call("context_get", { id: "a/x", version: 1 }))["content"],
      spaces: ((await core.call("prime", { space: "a" })) as { spaces: unknown[] }).spaces,
      recent: ((await core.call("prime", { space: "a" })) as { recent: { id: string }[] }).recent.map(({ id }) => id),
    });
    const hint = (next: number) => `Its last content is version 1; writing it again creates version ${next}.`;
    const expired = {
      list: ["a/y"],
      get: {
        code: "deleted",
        message: 'The context "a/x" expired at 2026-01-01T00:01:00.000Z',
        hint: hint(2),
      },
      grep: "deleted",
      found: 1,
      diff: "deleted",
      patch: "deleted",
      remove: "not_found",
      stale: "version_mismatch",
      deleted: true,
      first: "text",
      spaces: [{ space: "a", contexts: 1, may_write: true }],
      recent: ["a/y"],
    };
    expect(await looked()).toEqual(expired);
    await tick();
    expect(await looked()).toEqual({ ...expired, get: { ...expired.get, hint: hint(3) } });
    const { versions } = await core.call("context_history", { id: "a/x" });
    expect(versions).toMatchObject([
      { version: 2, deleted: true, author: "node", expires_at: "2026-01-01T00:01:00.000Z", title: "Title" },
      { version: 1, deleted: false },
    ]);
    const { changes } = await core.call("context_wait", { id: "a/x", since: core.invoker.positionAt(0) });
    expect(changes).toMatchObject([
      { outcome: "created", operation: "context_put" },
      { outcome: "expired", operation: "context_expire", caller: "node", etag: "" },
    ]);
    checkUsage(core);
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test.each([true, false])("is written again or restored, without its time (removed before: %p)", async (isRemoved) => {
    const { core, pass, tick } = startTimed();
    await using _ = core;
    await put(core, "a/x", { expires_in: 60, title: "Title", metadata: { a: 1 } });
    await put(core, "a/y", { expires_in: 60, title: "Title", metadata: { a: 1 } });
    await pass(60);
    if (isRemoved) await tick();
    const next = isRemoved ? 3 : 2;
    expect(await put(core, "a/x", { if_none_match: "*" })).toMatchObject({ created: true, version: next });
    const written = await core.call("context_get", { id: "a/x" });
    expect(written).toMatchObject({ title: "", version: next });
    for (const gone of ["expires_at", "metadata"]) expect(written).not.toHaveProperty(gone);
    await core.call("context_restore", { id: "a/y", version: 1 });
    const restored = await core.call("context_get", { id: "a/y" });
    expect(restored).toMatchObject({ title: "Title", version: next, metadata: { a: 1 } });
    expect(restored).not.toHaveProperty("expires_at");
    await pass(3600);
    await tick();
    expect(await idsOf(core)).toEqual(["a/x", "a/y"]);
    checkUsage(core);
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("is restored with its time where that is still to come, and purged like any other", async () => {
    const { core, pass, tick } = startTimed();
    await using _ = core;
    await put(core, "a/x", { expires_in: 60, metadata: { secret: "s3cret" } });
    await core.call("context_delete", { id: "a/x" });
    await core.call("context_restore", { id: "a/x", version: 1 });
    expect(await core.call("context_get", { id: "a/x" })).toMatchObject({ expires_at: "2026-01-01T00:01:00.000Z" });
    await pass(60);
    await core.call("context_purge", { id: "a/x" });
    await tick();
    const { versions } = await core.call("context_history", { id: "a/x" });
    expect(versions).toMatchObject([
      { version: 4, deleted: true },
      { purged: true },
      { deleted: true },
      { purged: true },
    ]);
    expect(JSON.stringify(core.store.reader.all("SELECT * FROM versions WHERE id = 'a/x'"))).not.toContain("s3cret");
    checkUsage(core);
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
  });

  test("may be one of hundreds: all are removed, and one whose time was moved is not", async () => {
    const { core, clock, tick } = startTimed();
    await using _ = core;
    await Promise.all(Array.from({ length: 150 }, (_, at) => put(core, `a/${at}`, { expires_in: 60 + (at % 3) })));
    await put(core, "a/0", { expires_in: 3600 });
    await put(core, "a/1", { expires_in: 0 });
    clock.nowMs += 62_000;
    await tick();
    expect(await idsOf(core)).toEqual(["a/0", "a/1"]);
    const count = core.store.reader.get("SELECT COUNT(*) AS n FROM changes WHERE outcome = 'expired'");
    expect(count).toEqual({ n: 148 });
    checkUsage(core);
    expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
  });
});

type Step =
  | { do: "put" | "patch" | "delete" | "restore"; id: string; expires_in?: number }
  | { do: "pass"; seconds: number }
  | { do: "tick" };

/** What the model knows of a context: until when it is there, in seconds, and the times of its versions with a text. */
interface Known {
  until: number;
  texts: number[];
}

const id = fc.constantFrom("1", "2", "3");
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record(
      { do: fc.constant("put" as const), id, expires_in: fc.constantFrom(0, 1, 30, 100) },
      { requiredKeys: ["do", "id"] },
    ),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("patch" as const, "delete", "restore"), id }) },
  // A clock that is set back, too.
  { weight: 3, arbitrary: fc.record({ do: fc.constant("pass" as const), seconds: fc.constantFrom(1, 29, 70, -50) }) },
  { weight: 2, arbitrary: fc.constant({ do: "tick" as const }) },
);

test("any writes, clocks and looks of leaders leave exactly what the model says at each log time", async () => {
  const { core, clock, tick } = startTimed();
  await using _ = core;
  const there = ({ until }: Known, now: number) => until > now;
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 25 }), async (steps) => {
      const prefix = `run${core.log.position().seq}/`;
      const model = new Map<string, Known>();
      // What the log has seen; the clock may be behind it.
      let now = Math.max(clock.nowMs, core.log.timeMs()) / 1000;
      for (const step of steps) {
        if (step.do === "pass") clock.nowMs += 1000 * step.seconds;
        if (step.do === "tick") await tick();
        if (step.do === "pass" || step.do === "tick") {
          await core.call("context_put", { id: "clock/now", content: 1 });
          now = Math.max(now, clock.nowMs / 1000);
        } else {
          now = Math.max(now, clock.nowMs / 1000);
          const known = model.get(step.id);
          const isThere = known !== undefined && there(known, now);
          const context = `${prefix}${step.id}`;
          const call = {
            put: () =>
              core.call("context_put", {
                id: context,
                content: "x",
                ...("expires_in" in step && { expires_in: step.expires_in }),
              }),
            patch: () =>
              core.call("context_patch", { id: context, format: "edit", patch: { op: "append", text: "!" } }),
            delete: () => core.call("context_delete", { id: context }),
            restore: () => core.call("context_restore", { id: context, version: 1 }),
          }[step.do];
          const done = (await codeOf(call())) === "";
          expect([step, done]).toEqual([
            step,
            step.do === "put" || (step.do === "restore" ? known !== undefined : isThere),
          ]);
          if (done) model.set(step.id, next(known, isThere, step, now));
        }
        const left = [...model].filter(([, known]) => there(known, now)).map(([name]) => `${prefix}${name}`);
        expect(await idsOf(core, { prefix })).toEqual(left.sort());
        for (const [name, known] of model) {
          const code = await codeOf(core.call("context_get", { id: `${prefix}${name}` }));
          expect([name, code]).toEqual([name, there(known, now) ? "" : "deleted"]);
        }
      }
      checkUsage(core);
    }),
    { numRuns: 40 },
  );
  expect(await core.call("audit_verify", {})).toMatchObject({ ok: true });
}, 60_000);

function next(known: Known | undefined, isThere: boolean, step: Step, now: number): Known {
  const { until: before, texts } = known ?? { until: 0, texts: [] };
  const kept = isThere ? before : Number.POSITIVE_INFINITY;
  if (step.do === "delete") return { until: 0, texts };
  if (step.do === "restore") {
    const first = texts[0] ?? 0;
    return { until: first > now ? first : Number.POSITIVE_INFINITY, texts };
  }
  const given = "expires_in" in step ? step.expires_in : undefined;
  const until = given === undefined ? kept : given === 0 ? Number.POSITIVE_INFINITY : now + given;
  return { until, texts: [...texts, until] };
}

describe("times at their extremes", () => {
  test("a second, ten years, and a clock that jumps by a century and back", async () => {
    const { core, clock, pass, tick } = startTimed();
    await using _ = core;
    await put(core, "a/second", { expires_in: 1 });
    await put(core, "a/decade", { expires_in: MAX_EXPIRES_SECONDS });
    await put(core, "a/never");
    clock.nowMs += 999;
    await pass(0);
    expect(await idsOf(core)).toEqual(["a/decade", "a/never", "a/second"]);
    clock.nowMs += 1;
    await pass(0);
    expect(await idsOf(core)).toEqual(["a/decade", "a/never"]);
    clock.nowMs = START_MS - 5 * 365 * 86_400_000;
    await pass(0);
    await tick();
    expect(await idsOf(core)).toEqual(["a/decade", "a/never"]);
    clock.nowMs = Date.parse("2126-01-01T00:00:00Z");
    await tick();
    expect(await idsOf(core)).toEqual(["a/never"]);
    await put(core, "a/after", { expires_in: MAX_EXPIRES_SECONDS });
    expect(await core.call("context_get", { id: "a/after" })).toMatchObject({ expires_at: "2135-12-30T00:00:00.000Z" });
  });

  test.each([-1, 0.5, MAX_EXPIRES_SECONDS + 1, 1e300, "tomorrow", true])("%p is refused", async (seconds) => {
    const { core } = startTimed();
    await using _ = core;
    await expect(put(core, "a/x", { expires_in: seconds })).rejects.toMatchObject({
      code: "invalid_input",
      details: { field: "expires_in" },
    });
  });
});
