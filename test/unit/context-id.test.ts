// The grammar of ids, and that every place that takes an id takes all of them.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isReservedSpace, spaceOf } from "../../src/access/space.ts";
import { idProblem, levelOfId, spaceName } from "../../src/features/context/context-id.ts";
import { exportLines, importLines } from "../../src/features/context/index.ts";
import { contextPut } from "../../src/features/context/put.ts";
import { appearanceOf } from "../../src/lib/look-alike.ts";
import { refuseInputAbove } from "../../src/operation/versions.ts";
import { startCore } from "../kit/core.ts";
import { AWKWARD_IDS, anyId } from "../kit/ids.ts";

describe("grammar", () => {
  test.each([
    ...AWKWARD_IDS,
    `s/${"ä".repeat(254)}`,
    "s/metadata/x",
    "a/diff/b",
    "process/x",
    "s/versions/x",
    "versions/3",
  ])("%j is an id", (id) => expect(idProblem(id)).toBeUndefined());

  test.each([
    ["", "1 to 256"],
    [`s/${"a".repeat(255)}`, "1 to 256"],
    [`s/${"字".repeat(200)}`, "512 bytes"],
    ["größe/x", "the space"],
    ["s p/x", "the space"],
    ["s//x", "empty segment"],
    ["/x", "empty segment"],
    ["s/..", 'segment ".."'],
    ["s/x ", "begin or end with a space"],
    ["s/ x", "begin or end with a space"],
    ["s/x  y", "two in a row"],
    ["s/x\ty", "U+0009 is none"],
    ["s/x\u00a0y", "U+00A0 is none"],
    ["s/x\u200by", "invisible character U+200B"],
    ["s/x\u202ey", "invisible character U+202E"],
    ["s/\u3164", "invisible character U+3164"],
    ["s/x\ufffd", "invisible character U+FFFD"],
    ["s/x\ud800", "U+D800 is none"],
    ["s/e\u0301", "NFC"],
    ["s/\u0301x", "combining mark"],
    ["team-a∕plan", '"∕", U+2215, which looks like /'],
    ["s/a/metadata", 'last segment must not be "metadata"'],
    ["stream", 'last segment must not be "stream"'],
    ["s/a%2Fb", "not encoded (%2F)"],
    ["s/a/versions/03", "/versions/ and a number"],
    ["s/a/versions/3", "/versions/ and a number"],
  ])("%j is none: %s", (id, problem) => expect(idProblem(id)).toContain(problem));

  test("a space stays ASCII, and a write of a wider id waits for the fleet level", () => {
    expect(spaceName.safeParse("Größe").success).toBe(false);
    expect(spaceName.safeParse("metadata").success).toBe(true);
    expect(["team-a/plan", "s/größe", "s/diff/x", "a b"].map(levelOfId)).toEqual([1, 3, 3, 3]);
    expect(() => refuseInputAbove(2, contextPut, { id: "s/größe" })).toThrow("needs fleet level 3; the fleet has 2");
    refuseInputAbove(3, contextPut, { id: "s/größe" });
    refuseInputAbove(2, contextPut, { id: "s/plan" });
  });
});

const put = (content: string): RequestInit => ({
  method: "PUT",
  body: content,
  headers: { "content-type": "text/plain" },
});
const encoded = (id: string) => id.split("/").map(encodeURIComponent).join("/");

test("every id is written, read, listed, watched and carried to another store by every way", async () => {
  await using core = startCore();
  await using other = startCore();
  const longest = [`s/${"字".repeat(170)}`, `s/${'"'.repeat(254)}`];
  const sample = [...longest, ...AWKWARD_IDS, ...fc.sample(anyId, { seed: 7, numRuns: 120 })];
  const ids = [...new Set(sample)].filter((id) => !isReservedSpace(spaceOf(id)));
  const start = core.invoker.position();
  for (const [index, id] of ids.entries()) {
    const path = index % 2 === 0 ? encoded(id) : encodeURIComponent(id);
    expect([id, (await core.http(`/contexts/${path}`, put(`text of ${id}`))).status]).toEqual([id, 201]);
    expect(await (await core.http(`/contexts/${encoded(id)}`)).text()).toBe(`text of ${id}`);
    expect(await (await core.http(`/contexts/${path}/metadata`)).json()).toMatchObject({ id, version: 1 });
    expect((await core.http(`/contexts/${path}/versions/1`)).status).toBe(200);
    const list = await core.call("context_list", { prefix: id });
    expect((list["contexts"] as { id: string }[]).map((row) => row.id)).toContain(id);
  }
  const listed: string[] = [];
  for (let cursor: string | undefined = ""; cursor !== undefined; ) {
    const page = await core.call("context_list", { limit: 3, ...(cursor === "" ? {} : { cursor }) });
    listed.push(...(page["contexts"] as { id: string }[]).map(({ id }) => id));
    cursor = page["cursor"] as string | undefined;
  }
  // In the order of their bytes, as SQLite compares.
  expect(listed).toEqual(ids.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
  const changes = await core.call("context_wait", { since: start, timeout_seconds: 1, limit: 100 });
  expect((changes["changes"] as { target: string }[]).map(({ target }) => target)).toEqual(ids.slice(0, 100));
  const audit = await core.call("audit_query", { prefix: "vault/", limit: 500 });
  expect((audit["rows"] as { target: string }[]).length).toBe(ids.filter((id) => id.startsWith("vault/")).length);
  const ask = (from: typeof core) => (operation: string, input: Record<string, unknown>) => from.call(operation, input);
  const report = await importLines(ask(other), exportLines(ask(core), undefined), { missingOnly: false });
  expect(report.imported).toBe(ids.length);
  for (const id of ids) expect(await other.call("context_get", { id })).toMatchObject({ content: `text of ${id}` });
});

describe("forms and look-alikes", () => {
  test("an id and a prefix are taken in any Unicode form, and name one context", async () => {
    await using core = startCore();
    await core.call("context_put", { id: "s/cafe\u0301/x", content: 1 });
    expect(await core.call("context_get", { id: "s/café/x" })).toMatchObject({ id: "s/café/x", version: 1 });
    expect(await core.call("context_list", { prefix: "s/cafe\u0301" })).toMatchObject({
      contexts: [{ id: "s/café/x" }],
    });
    expect((await core.http(`/contexts/${encoded("s/cafe\u0301/x")}`)).status).toBe(200);
  });

  test("ids that look alike are kept apart, and shown as such", async () => {
    await using core = startCore();
    const alike = ["s/Plan", "s/plan", "s/рlan", "s/pIan"];
    for (const [index, id] of alike.entries()) await core.call("context_put", { id, content: index });
    await core.call("context_put", { id: "s/other", content: 1 });
    for (const [index, id] of alike.entries())
      expect(await core.call("context_get", { id })).toMatchObject({ content: index });
    const { contexts } = (await core.call("context_list", { prefix: "s/" })) as {
      contexts: { id: string; looks_like?: string[] }[];
    };
    for (const { id, looks_like } of contexts) {
      const others = alike.filter((each) => each !== id);
      expect([id, looks_like?.toSorted()]).toEqual([id, id === "s/other" ? undefined : others.toSorted()]);
    }
    await expect(core.call("context_get", { id: "s/OTHER" })).rejects.toMatchObject({
      code: "not_found",
      hint: expect.stringContaining('"s/other" looks like it'),
    });
  });

  test("what looks like a Latin letter looks like one", () => {
    expect(appearanceOf("Рауⅼоаd")).toBe(appearanceOf("payload"));
    expect(appearanceOf("a")).not.toBe(appearanceOf("b"));
  });
});
