// Searches in scripts without spaces: what one and two characters find, what is marked, and the order.

import { expect, test } from "bun:test";
import { Searched } from "../kit/search.ts";

const idsOf = (hits: readonly { id?: string }[]) => hits.map(({ id }) => id);

test("finds one character and more of scripts without spaces, and marks it", async () => {
  await using node = new Searched();
  await node.put("a/ja", "明日の東京の天気は晴れ");
  await node.put("a/kyoto", "京都と東の山");
  await node.put("a/zh", "我们在北京大学学习2024年的课程");
  await node.put("a/ko", "서울에서 만나요");
  await node.put("a/th", "กรุงเทพมหานครเป็นเมืองหลวง");
  await node.put("a/kata", "ガソリンtank の残量");
  await node.put("a/long", `${"語".repeat(70)}末尾です`);
  const found = async (query: string) => idsOf(await node.search(query)).sort();
  expect(await found("東京")).toEqual(["a/ja"]);
  expect(await found("東京の天気")).toEqual(["a/ja"]);
  expect(await found("天気 東京")).toEqual(["a/ja"]);
  expect(await found("京")).toEqual(["a/ja", "a/kyoto", "a/zh"]);
  expect(await found("北京")).toEqual(["a/zh"]);
  expect(await found("2024")).toEqual(["a/zh"]);
  for (const query of ["서울", "서울에서", "만나", "서울".normalize("NFD")])
    expect(await found(query)).toEqual(["a/ko"]);
  for (const query of ["เมือง", "เทพ", "กรุงเทพ"]) expect(await found(query)).toEqual(["a/th"]);
  for (const query of ["ガソ", "ｶﾞｿﾘﾝ", "tank", "残量"]) expect(await found(query)).toEqual(["a/kata"]);
  expect(await found("末尾")).toEqual(["a/long"]);
  expect(await found("大阪")).toEqual([]);
  const marked = async (query: string) => {
    const [hit] = await node.search(query);
    return hit?.marks.map(([start, end]) => hit.preview.slice(start, end));
  };
  expect(await marked("東京")).toEqual(["東京"]);
  expect(await marked("東京の天気")).toEqual(["東京の天気"]);
  expect(await marked("晴")).toEqual(["晴"]);
});

test("ranks a text that is about a word of a script without spaces before one that names it once", async () => {
  await using node = new Searched();
  await node.put("a/once", `東京に行く。${"今日は雨が降り、道が混んでいた。".repeat(20)}`);
  await node.put("a/about", "東京の天気、東京の道、東京の山");
  await node.put("a/newest", `${"今日は雨が降り、道が混んでいた。".repeat(20)}東京。`);
  expect(idsOf(await node.search("東京"))[0]).toBe("a/about");
});
