// The reports to the Go half that the event loop turns, and which voter should lead while this node cannot take writes.

import { expect, test } from "bun:test";
import { eventually } from "../kit/eventually.ts";
import { playRaftHalf, SERVER } from "../kit/raft-half.ts";

test("an idle log reports that it may lead, and names who should while it cannot take writes", async () => {
  let successor = "";
  await using half = await playRaftHalf(() => {}, { successor: () => successor });
  const reports = () => half.sent.filter(({ type }) => type === 5).map(({ payload }) => payload.toString());
  const began = performance.now();
  await eventually("five reports", () => reports().length >= 5);
  expect(performance.now() - began).toBeGreaterThan(500);
  expect(new Set(reports())).toEqual(new Set([""]));
  successor = SERVER;
  await eventually("its name", () => reports().at(-1) === SERVER);
  successor = "";
  await eventually("no name", () => reports().at(-1) === "");
  await half.log.close();
  const count = reports().length;
  await Bun.sleep(500);
  expect(reports().length).toBe(count);
});
