// store_growth: how many changes the store had over time, and its size now.

import { z } from "zod";
import { ALL_SPACES } from "../access/space.ts";
import { timeOf } from "../lib/time-of.ts";
import { LOOK_AT_ROW } from "../lib/work.ts";
import { read } from "../operation/define.ts";

/** Moments that are returned at most: each is one lookup, whatever the number of changes. */
const MAX_POINTS = 48;

interface Moment {
  seq: number;
  log_time: number;
}

/** Returns the growth. Of all spaces at once, so the right to read all of them is needed (security.md 17). */
export const storeGrowth = read({
  name: "store_growth",
  title: "Growth of the store",
  search: "how big is the store, how fast does it grow, changes over time",
  description:
    "Returns how many changes the store had at some moments, from the oldest kept change to the newest, and the size of its file now.",
  input: z.object({}),
  output: z.object({
    points: z
      .array(z.object({ time: z.string(), changes: z.number().int() }))
      .describe(`At most ${MAX_POINTS}, oldest first; empty in a new store.`),
    bytes: z.number().int().describe("Size of the store's file on this node."),
  }),
  access: { verb: "read", spaces: [ALL_SPACES] },
  isTool: false,
  run(reader, _input, { spend }) {
    const size = reader.get<{ bytes: number }>(
      "SELECT page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()",
    );
    const first = reader.get<Moment>("SELECT seq, log_time FROM changes ORDER BY seq LIMIT 1");
    const last = reader.get<Moment>("SELECT seq, log_time FROM changes ORDER BY seq DESC LIMIT 1");
    const points: Moment[] = [];
    if (first !== undefined && last !== undefined) {
      const count = Math.min(MAX_POINTS, last.seq - first.seq + 1);
      spend(LOOK_AT_ROW * count);
      for (let index = 0; index < count; index++) {
        const seq = count === 1 ? last.seq : first.seq + Math.floor((index * (last.seq - first.seq)) / (count - 1));
        const at = reader.get<Moment>("SELECT seq, log_time FROM changes WHERE seq >= ? ORDER BY seq LIMIT 1", seq);
        if (at !== undefined && at.seq !== points.at(-1)?.seq) points.push(at);
      }
    }
    return {
      points: points.map(({ seq, log_time }) => ({ time: timeOf(log_time), changes: seq })),
      bytes: size?.bytes ?? 0,
    };
  },
});
