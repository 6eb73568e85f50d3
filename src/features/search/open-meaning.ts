// Opens searches by meaning as the settings say: by a service, or else by the model that is installed, or not at all.

import { valuesOf } from "../../config/setting.ts";
import type { Settings } from "../../config/settings.ts";
import { Fault } from "../../lib/fault.ts";
import { ModelEndpoint } from "../../operation/model-endpoint.ts";
import { HOST, NODE } from "../../operation/node-parts.ts";
import type { Services } from "../../operation/services.ts";
import type { DiskGauge } from "../../store/disk.ts";
import { searchConditions } from "./conditions.ts";
import { ChildEmbedder } from "./meaning/child-embedder.ts";
import type { Embedder } from "./meaning/embedder.ts";
import { endpointEmbedder } from "./meaning/endpoint-embedder.ts";
import { Meaning } from "./meaning/meaning.ts";
import { hasModel, modelPath } from "./meaning/model/model-files.ts";
import type { SearchIndex } from "./search-index.ts";
import { searchSettingTable } from "./settings.ts";

/** Words of the command that runs the model (cli/embed.ts). */
export const EMBED_COMMAND = "embed";

/** Returns the vectors of a node, not started. Throws Fault `config_invalid`. */
export function openMeaning(node: Services, index: SearchIndex, disk: Pick<DiskGauge, "refusal">): Meaning {
  const { settings, store, conditions } = node.get(NODE);
  const own = valuesOf(searchSettingTable, settings);
  const raised = conditions.of(searchConditions);
  const onState = (problem: string) => {
    if (problem === "") raised.clear("search_meaning_failed");
    else raised.raise("search_meaning_failed", problem);
  };
  return new Meaning({
    ...{ index, reader: store.reader, sources: index.sources, disk, onState },
    embedder: own["search.meaning"] === "off" ? () => undefined : embedderOf(node),
    maxBytes: own["search.vector_bytes"],
  });
}

/** Returns what finds the embedder of a node. */
function embedderOf(node: Services): () => Embedder | undefined {
  const { settings, nowMs } = node.get(NODE);
  const { secrets, env, command, outbound } = node.get(HOST);
  const service = embeddingsOf(settings);
  if (service !== undefined) {
    const { url } = service;
    // What fails is said by whoever asks.
    const endpoint = new ModelEndpoint({ url, key: secrets.embeddingsKey, outbound, nowMs, onState: () => {} });
    const embedder = endpointEmbedder({ ...service, endpoint });
    return () => embedder;
  }
  if (command === undefined) return () => undefined;
  const child = new ChildEmbedder({ command: [...command, EMBED_COMMAND, modelPath(settings.data)], env });
  return () => (hasModel(settings.data) ? child : undefined);
}

/** Returns the service of the settings; undefined: none. Throws Fault `config_invalid` where they are incomplete. */
export function embeddingsOf(settings: Settings): { url: string; model: string; dimensions: number } | undefined {
  const own = valuesOf(searchSettingTable, settings);
  const [url, model] = [own["search.embeddings_url"], own["search.embeddings_model"]];
  if (url === undefined && model === undefined) return undefined;
  if (url !== undefined && model !== undefined) return { url, model, dimensions: own["search.embeddings_dimensions"] };
  const missing = url === undefined ? "search.embeddings_url" : "search.embeddings_model";
  throw new Fault("config_invalid", `The settings of the service for vectors are incomplete: ${missing} is missing`, {
    hint: "Set search.embeddings_url and search.embeddings_model, or none of them.",
  });
}
