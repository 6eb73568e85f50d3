// space_configure and space_settings: how edges may keep a space (replication.md 28). An operator of the space sets it
// through the log, so that every full member has it; edges receive it with their feed.

import { z } from "zod";
import { readMetaNamed, writeMetaNamed } from "../../log/meta.ts";
import { read, write } from "../../operation/define.ts";
import { EDGE_MODE_KEYS, EDGE_MODES, type EdgeMode, edgeModes } from "../../operation/edge-modes.ts";
import { spaceName } from "./context-id.ts";

const edge = z
  .enum(EDGE_MODES)
  .describe(
    "never: edges keep nothing of it. fresh (default): edges respond from their cache while it is proved to be fresh. stale: also while they are cut off, with its age.",
  );

/** Sets the edge mode of a space. */
export const spaceConfigure = write({
  name: "space_configure",
  v: 1,
  title: "Configure a space",
  search: "serve a space while cut off, what edges keep",
  description:
    "Sets how edges may keep the contexts of a space. Use stale for contexts that are useful even if old, such as runbooks needed while the network is down; use never for what no edge may store.",
  input: z.object({ space: spaceName.describe("The part of context ids before their first /."), edge }),
  example: { space: "team-a", edge: "stale" },
  output: z.object({ space: z.string(), edge }),
  access: { verb: "operate", spaces: ({ space }) => [space] },
  hints: { idempotent: true },
  prepare: (input) => input,
  apply(tx, input: { space: string; edge: EdgeMode }) {
    const before = readMetaNamed(tx, EDGE_MODE_KEYS, input.space) ?? "fresh";
    const output = { space: input.space, edge: input.edge };
    if (before === input.edge) return { output, changes: [] };
    // Few spaces have a mode, so they are rows of `meta` and need no table.
    writeMetaNamed(tx, EDGE_MODE_KEYS, input.space, input.edge === "fresh" ? undefined : input.edge);
    const changed = { target: `fleet/spaces/${input.space}`, version: 0, contentHash: "", outcome: input.edge };
    return { output, changes: [changed] };
  },
});

/** Lists spaces with another edge mode than the default. */
export const spaceSettings = read({
  name: "space_settings",
  title: "Settings of spaces",
  search: "which spaces are served while cut off",
  description: "Lists the spaces that you may read whose settings differ from the default.",
  input: z.object({}),
  output: z.object({ spaces: z.array(z.object({ space: z.string(), edge })) }),
  access: { verb: "read", spaces: "visible" },
  run: (reader, _input, { visible }) => ({
    spaces: edgeModes(reader)
      .filter(([space]) => visible(space))
      .map(([space, mode]) => ({ space, edge: mode })),
  }),
});
