// The conversations.json of a Claude data export: each conversation is a list of messages in order.

import { isObject } from "../../lib/json-object.ts";
import { type Chat, type ChatMessage, fenced } from "./chat.ts";
import { textAt, timeText } from "./item.ts";

type Json = Readonly<Record<string, unknown>>;

/** Returns a conversation of the export; undefined for what is none. */
export function claudeChat(value: unknown): Chat | undefined {
  if (!isObject(value) || !Array.isArray(value["chat_messages"])) return undefined;
  const id = textAt(value, "uuid");
  if (id === "") return undefined;
  const model = textAt(value, "model");
  return {
    id,
    title: textAt(value, "name"),
    created: timeText(value["created_at"]),
    updated: timeText(value["updated_at"]),
    metadata: model === "" ? {} : { model },
    messages: value["chat_messages"].filter(isObject).flatMap(messageOf),
  };
}

function messageOf(message: Json): ChatMessage[] {
  const blocks = Array.isArray(message["content"]) ? message["content"].filter(isObject).map(blockText) : [];
  const said = blocks.filter((text) => text !== "").join("\n\n") || textAt(message, "text");
  const files = [...attachmentsOf(message["attachments"]), ...attachmentsOf(message["files"])];
  const text = [said, ...files].filter((each) => each.trim() !== "").join("\n\n");
  if (text === "") return [];
  return [{ author: textAt(message, "sender") || "unknown", at: timeText(message["created_at"]), text }];
}

/** Returns what a block says. Thinking is no part of the conversation, and what tools return is only named. */
function blockText(block: Json): string {
  const type = textAt(block, "type");
  if (type === "text") return textAt(block, "text");
  if (type === "tool_use") return `[tool ${textAt(block, "name")}]`;
  return "";
}

function attachmentsOf(value: unknown): string[] {
  return (Array.isArray(value) ? value.filter(isObject) : []).map((file) => {
    const name = `[file ${textAt(file, "file_name") || "without a name"}]`;
    const text = textAt(file, "extracted_content");
    return text === "" ? name : `${name}\n\n${fenced(text)}`;
  });
}
