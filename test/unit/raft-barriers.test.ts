// A leader read whose barrier crosses a snapshot mark on raft.sock, with a Go half that the test plays: the mark tells
// of stored entries only, and a barrier is none.

import { expect, test } from "bun:test";
import { within } from "../kit/eventually.ts";
import { askFrame, barrierAt, frame, numbers, playRaftHalf, SERVER } from "../kit/raft-half.ts";

test("a barrier is over once it is applied, though a mark comes between that and its answer", async () => {
  await using half = await playRaftHalf(({ type, payload }, send) => {
    if (type !== 2) return;
    const ticket = Number(payload.readBigUInt64BE(0));
    const mark = askFrame({ do: "mark", server: SERVER, index: 45, term: 1 });
    send(Buffer.concat([barrierAt(50), mark, frame(18, numbers(ticket, 50, 1))]));
  });
  await within("the barrier", half.log.barrier(), 2_000);
  expect(half.fatal).toEqual([]);
});
