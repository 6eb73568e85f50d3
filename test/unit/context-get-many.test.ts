// context_get_many: several documents at one position, in pages, as far as the caller may read them.

import { expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { startCore } from "../kit/core.ts";
import { Someone, user } from "../kit/sessions.ts";

type Page = { contexts: { id: string; content: string; version: number }[]; snapshot: string; cursor?: string };

const ann = user("ann");
const start = () => startCore({ features: [agentFeature, contextFeature] });
const many = async (who: Someone, input: Record<string, unknown>) =>
  (await who.call("context_get_many", input)) as unknown as Page;
const texts = ({ contexts }: Page) => contexts.map(({ content }) => content);

test("returns the documents of ids or of a prefix, by id, without what is not there", async () => {
  await using core = start();
  const who = new Someone(core, ann);
  for (const id of ["s/b", "s/a", "s/c", "s/ｚ", "s/𝒛", "t/a"])
    await who.call("context_put", { id, content: `of ${id}` });
  await who.call("context_put", { id: "s/json", content: { a: [1] } });
  await who.call("context_delete", { id: "s/c" });
  const ids = ["s/𝒛", "s/ｚ", "s/c", "s/b", "t/a", "s/none", "s/b"];
  expect(texts(await many(who, { ids }))).toEqual(["of s/b", "of s/ｚ", "of s/𝒛", "of t/a"]);
  const first = await many(who, { ids, limit: 2 });
  expect(texts(await many(who, { ids, cursor: first.cursor }))).toEqual(["of s/𝒛", "of t/a"]);
  expect(texts(await many(who, { prefix: "s/" }))).toEqual(["of s/a", "of s/b", '{"a":[1]}', "of s/ｚ", "of s/𝒛"]);
  expect(texts(await many(who, {}))).toEqual(["of s/a", "of s/b", '{"a":[1]}', "of s/ｚ", "of s/𝒛", "of t/a"]);
  await expect(many(who, { ids: ["s/a"], prefix: "s/" })).rejects.toMatchObject({ code: "invalid_input" });
});

test("shows all pages as they were at the first one", async () => {
  await using core = start();
  const who = new Someone(core, ann);
  for (let at = 0; at < 120; at++)
    await who.call("context_put", { id: `s/${String(at).padStart(3, "0")}`, content: `${at}` });
  const first = await many(who, { prefix: "s/", limit: 60 });
  await who.call("context_put", { id: "s/100", content: "later" });
  await who.call("context_put", { id: "s/200", content: "later" });
  await who.call("context_delete", { id: "s/101" });
  const second = await many(who, { prefix: "s/", cursor: first.cursor });
  expect(second.snapshot).toBe(first.snapshot);
  expect(second.cursor).toBeUndefined();
  expect([...texts(first), ...texts(second)]).toEqual(Array.from({ length: 120 }, (_, at) => `${at}`));
});

test("ends a page by its size", async () => {
  await using core = start();
  const who = new Someone(core, ann);
  for (let at = 0; at < 5; at++) await who.call("context_put", { id: `s/${at}`, content: "x".repeat(400_000) });
  const sizes: number[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await many(who, { prefix: "s/", ...(cursor === undefined ? {} : { cursor }) });
    sizes.push(page.contexts.length);
    cursor = page.cursor;
    if (cursor === undefined) break;
  }
  expect(sizes).toEqual([3, 2]);
});

test("returns nothing of what the caller may not read", async () => {
  await using core = start();
  const [one, two] = [await new Someone(core, ann).as("one"), await new Someone(core, ann).as("two")];
  await one.call("context_put", { id: "s/own", content: "own", visibility: "private" });
  await one.call("context_put", { id: "s/all", content: "all" });
  expect(texts(await many(one, { prefix: "s/" }))).toEqual(["all", "own"]);
  expect(texts(await many(two, { prefix: "s/" }))).toEqual(["all"]);
  expect(texts(await many(two, { ids: ["s/own"] }))).toEqual([]);
  const reader = new Someone(core, user("rob", { role: "reader", spaces: ["t"] }));
  await expect(many(reader, { ids: ["s/all", "t/x"] })).rejects.toMatchObject({ code: "forbidden" });
  expect(texts(await many(reader, { prefix: "" }))).toEqual([]);
});
