// Settings of searches by meaning.

import { bytes, choice, count, text } from "../../config/setting.ts";
import { modelNameShape, modelUrlShape } from "../../config/shapes.ts";
import { MODEL_URL } from "./meaning/model/model-files.ts";

const MIB = 1024 * 1024;

/** Where vectors come from, and how many are kept. */
export const searchSettingTable = {
  "search.meaning": choice(
    ["auto", "off"],
    "auto",
    "Whether searches also find by meaning: auto does with search.embeddings_url, or else with an installed model.",
  ),
  "search.embeddings_url": text(
    undefined,
    "URL",
    "Service for vectors that speaks the HTTP interface of OpenAI, such as https://api.openai.com/v1. All texts that can be searched are sent to it. Its key comes from CAIRN_EMBEDDINGS_KEY.",
    modelUrlShape,
  ),
  "search.embeddings_model": text(
    undefined,
    "NAME",
    "Model of that service, such as text-embedding-3-small; required with search.embeddings_url. Another one makes all vectors new.",
    modelNameShape,
  ),
  "search.embeddings_dimensions": count(
    0,
    { min: 0, max: 4096 },
    "Numbers of a vector to ask that service for; 0: as many as the model has.",
  ),
  "search.vector_bytes": bytes(
    256 * MIB,
    { min: MIB, max: 2048 * MIB },
    "Memory for vectors, in bytes or as 256MiB, at most 2GiB; the oldest texts are left out of searches by meaning beyond it.",
  ),
  "search.model_url": text(
    MODEL_URL,
    "URL",
    "Where `cairn search model install` gets its package: this very file, which is compared with a known hash.",
    modelUrlShape,
  ),
} as const;
