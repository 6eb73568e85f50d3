// The resource memory://knowledge-graph of the reference memory server: the whole graph of a space, as JSON.

import { z } from "zod";
import { Fault } from "../../../lib/fault.ts";
import type { FeatureResources } from "../../../operation/mcp-parts.ts";
import { placeInGraph, spaceOfGraph } from "./shapes.ts";

const NAME = "knowledge-graph";
const JSON_TYPE = "application/json";
const TARGET = new RegExp(`^(?:([^/]+)/)?${NAME}$`, "u");
const graph = z.looseObject({ entities: z.array(z.unknown()), relations: z.array(z.unknown()) });
const entry = { target: NAME, mimeType: JSON_TYPE, updatedAt: "2026-01-01T00:00:00.000Z", about: {} };
const about = {
  title: "Knowledge Graph",
  description: "The full knowledge graph with all entities and relations",
};

/** The graph of the space `default` under that name, and of any as `memory:///SPACE/knowledge-graph`. */
export const graphResources: FeatureResources = {
  ...{ uriTemplate: "memory:///{graph}", name: NAME, ...about },
  changesOf: "context",
  targetOf: (changed) => {
    const place = placeInGraph(changed);
    if (place === undefined) return undefined;
    return place.space === spaceOfGraph({}) ? NAME : `${place.space}/${NAME}`;
  },
  list: { operation: "whoami", input: () => ({}), result: () => ({ resources: [entry], cursor: undefined }) },
  read: {
    operation: "read_graph",
    input: ({ target }) => {
      const [whole, space] = TARGET.exec(target) ?? [];
      if (whole === undefined)
        throw new Fault("not_found", `There is no memory://${target.slice(0, 80)}`, {
          hint: `Read memory://${NAME}, or memory:///SPACE/${NAME}.`,
        });
      return space === undefined ? {} : { space };
    },
    result: (output) => {
      const { entities, relations } = graph.parse(output);
      return { mimeType: JSON_TYPE, text: JSON.stringify({ entities, relations }, null, 2), about: {} };
    },
  },
  complete: {
    operation: "whoami",
    input: () => ({}),
    result: (_output, { value }) => ({ values: NAME.startsWith(value) ? [NAME] : [], hasMore: false }),
  },
};
