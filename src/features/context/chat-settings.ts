// Settings and condition of the model that shortens documents.

import { text, valuesOf } from "../../config/setting.ts";
import type { Settings } from "../../config/settings.ts";
import { modelNameShape, modelUrlShape } from "../../config/shapes.ts";
import { Fault } from "../../lib/fault.ts";
import type { ConditionTable } from "../../observe/conditions.ts";

/** By name. */
export const chatSettingTable = {
  "process.chat_url": text(
    undefined,
    "URL",
    "Service with chat completions, as OpenAI has them, that shortens documents for context_process, such as https://api.openai.com/v1. A document is sent to it when a caller asks for that, and events for event_classify. Its key comes from CAIRN_CHAT_KEY.",
    modelUrlShape,
  ),
  "process.chat_model": text(
    undefined,
    "NAME",
    "Model of that service; required with process.chat_url.",
    modelNameShape,
  ),
} as const;

/** By code. */
export const chatConditions = {
  chat_failed: {
    title: "No model to shorten documents",
    severity: "warning",
    hint: "Fix what the text names. context_process goes by extraction meanwhile, and says so.",
  },
} as const satisfies ConditionTable;

/** Returns the service of the settings; undefined: none. Throws Fault `config_invalid` where they are incomplete. */
export function chatServiceOf(settings: Settings): { url: string; model: string } | undefined {
  const own = valuesOf(chatSettingTable, settings);
  const [url, model] = [own["process.chat_url"], own["process.chat_model"]];
  if (url === undefined && model === undefined) return undefined;
  if (url !== undefined && model !== undefined) return { url, model };
  const missing = url === undefined ? "process.chat_url" : "process.chat_model";
  throw new Fault("config_invalid", `The settings of the chat model are incomplete: ${missing} is missing`, {
    hint: "Set process.chat_url and process.chat_model, or none of them.",
  });
}
