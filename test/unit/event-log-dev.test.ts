// A development node keeps its events itself, whatever its settings say of the log of events.

import { expect, test } from "bun:test";
import { MOVER } from "../../src/features/event/moves/open.ts";
import { logPlaces } from "../../src/features/event/moves/place.ts";
import { startMovingEvents } from "../kit/moving-events.ts";

test("a node that reaches nothing outside begins no move by a setting, which another one does", async () => {
  const begun = async (reach: { isNone?: true }) => {
    await using made = startMovingEvents({ url: `nats://127.0.0.1:9` }, reach);
    Object.assign(made.events.nats, { isFirst: true });
    await made.node.get(MOVER).look(new AbortController().signal);
    return logPlaces(made.core.store.reader).moving?.kind;
  };
  expect([await begun({ isNone: true }), await begun({})]).toEqual([undefined, "jetstream"]);
});
