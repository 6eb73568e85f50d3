// The manifest of the knowledge graph: the tools and the resource of the reference memory server, at their own address,
// and the import of its file.

import type { Feature } from "../../../operation/feature.ts";
import { memoryParts } from "../parts.ts";
import { graphImport } from "./import.ts";
import { graphResources } from "./resource.ts";
import { GRAPH_TOOL_NAMES, graphTools } from "./tools.ts";

/** The manifest. */
export const graphFeature: Feature = {
  ...{ name: "graph", apart: true },
  operations: (node) => {
    const parts = memoryParts(node);
    return [...graphTools(parts), graphImport(parts)];
  },
  resources: graphResources,
  preset: {
    name: "knowledge-graph",
    summary: "the tools and the resource of the reference memory server, over contexts",
    tools: GRAPH_TOOL_NAMES,
    partsOf: ["graph"],
    urlArguments: ["space"],
    instructions: {
      about: "Here is a knowledge graph of entities, observations about them and relations between them.",
      readers: ["- search_nodes finds entities by words; open_nodes reads those that you name; read_graph reads all."],
      writers: {
        operation: "create_entities",
        lines: [
          "- create_entities, create_relations and add_observations remember; what is there already is left as it is.",
          "- Others read the graph too. Keys, tokens and passwords are removed before storing.",
        ],
        otherwise: "- You may read here, and not write.",
      },
    },
  },
};
