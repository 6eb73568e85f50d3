// A feature with rows that not everyone in their space may read, for tests of whatever reads changes.

import { z } from "zod";
import { spaceOf } from "../../src/access/space.ts";
import { read, write } from "../../src/operation/define.ts";
import type { Feature } from "../../src/operation/feature.ts";
import { mayRead, recipientOf, type VisibleRow, visibilityOf } from "../../src/operation/visibility.ts";

/** Returns the feature with rows of its own, which it holds in memory. `whisper` writes one. */
export function whisperFeature(): Feature {
  const rows = new Map<string, VisibleRow>();
  const whisper = write({
    name: "whisper",
    v: 1,
    title: "Whisper",
    description: "Writes a row.",
    input: z.object({ id: z.string(), visibility: z.string(), to: z.array(z.string()).optional() }),
    output: z.object({ id: z.string() }),
    access: { verb: "write", spaces: ({ id }) => [spaceOf(id)] },
    prepare: ({ id, visibility, to = [] }) => ({ id, visibility: visibilityOf(visibility), to: to.map(recipientOf) }),
    apply: (_tx, { id, visibility, to }, { caller, agent, agentType }) => {
      rows.set(id, { visibility, to, author: { caller, agent, type: agentType } });
      return { output: { id }, changes: [{ target: id, version: 1, contentHash: "", outcome: "created" }] };
    },
  });
  const overhear = read({
    name: "overhear",
    title: "Overhear",
    description: "Reads a row.",
    input: z.object({ id: z.string() }),
    output: z.object({ heard: z.boolean() }),
    access: { verb: "read", spaces: ({ id }) => [spaceOf(id)] },
    run: (_reader, { id }, context) => {
      const row = rows.get(id);
      return { heard: row !== undefined && mayRead(row, context.viewer(spaceOf(id))) };
    },
  });
  return {
    name: "whisper",
    operations: () => [whisper, overhear],
    changes: {
      operations: [whisper.name],
      readBy: overhear.name,
      altersList: () => true,
      mayRead: ({ target }, viewer) => {
        const row = rows.get(target);
        return row !== undefined && mayRead(row, viewer);
      },
    },
    resources: {
      uriTemplate: "whisper:///{id}",
      name: "whisper",
      title: "Whisper",
      description: "A row.",
      list: { operation: overhear.name, input: () => ({}), result: () => ({ resources: [], cursor: undefined }) },
      read: {
        operation: overhear.name,
        input: ({ target }) => ({ id: target }),
        result: ({ heard }) => ({ mimeType: "text/plain", text: String(heard), about: {} }),
      },
      complete: { operation: overhear.name, input: () => ({}), result: () => ({ values: [], hasMore: false }) },
    },
  };
}
