// The knowledge graph and the memory tool by an edge, which passes all of it to its upstream, while others write there.

import { expect, test } from "bun:test";
import { agentFeature } from "../../src/features/agent/index.ts";
import { contextFeature } from "../../src/features/context/index.ts";
import { graphFeature, memoryFeature, memoryToolFeature } from "../../src/features/memory/index.ts";
import { startEdgePair } from "../kit/edge.ts";
import { Someone, startSessions, user } from "../kit/sessions.ts";

const ann = user("ann");
const bob = user("bob");

test("writers at an edge and at its upstream lose nothing", async () => {
  const features = [agentFeature, memoryFeature, graphFeature, memoryToolFeature];
  const upstream = startSessions({ features: [contextFeature, ...features] });
  const pair = startEdgePair({ upstream, features });
  await pair.poll();
  const there = new Someone(upstream, bob);
  const add = (contents: string[]) => ({ observations: [{ entityName: "log", contents }], space: "s" });
  await pair.invoke(
    "create_entities",
    { entities: [{ name: "log", entityType: "t", observations: [] }], space: "s" },
    ann,
  );
  const numbers = Array.from({ length: 12 }, (_, at) => at);
  await Promise.all([
    (async () => {
      for (const at of numbers) await pair.invoke("add_observations", add([`edge ${at}`]), ann);
    })(),
    (async () => {
      for (const at of numbers) await there.call("add_observations", add([`upstream ${at}`]));
    })(),
  ]);
  const { output } = await pair.invoke("read_graph", { space: "s" }, ann);
  const [log] = output["entities"] as { observations: string[] }[];
  expect(log?.observations.toSorted()).toEqual(numbers.flatMap((at) => [`edge ${at}`, `upstream ${at}`]).sort());
  await pair.close();
  await upstream.close();
});

test("files by an edge are those of the same agent", async () => {
  const features = [agentFeature, memoryFeature, memoryToolFeature];
  const upstream = startSessions({ features: [contextFeature, ...features] });
  const pair = startEdgePair({ upstream, features });
  await pair.poll();
  const one = await new Someone(upstream, ann).as("one");
  const path = "/memories/x";
  const run = async (command: string, more: Record<string, unknown>, who = ann) =>
    String((await pair.invoke("memory_tool", { command, path, ...more }, who)).output["text"]);
  await run("create", { file_text: "by an edge", as: one.handle });
  expect(await run("view", { as: one.handle })).toContain("by an edge");
  expect((await one.call("memory_tool", { command: "view", path }))["text"]).toContain("by an edge");
  for (const [more, who] of [
    [{}, ann],
    [{}, bob],
  ] as const)
    await expect(run("view", more, who)).rejects.toThrow("does not exist");
  await pair.close();
  await upstream.close();
});
