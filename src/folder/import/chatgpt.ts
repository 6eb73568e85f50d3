// The conversations.json of a ChatGPT data export: each conversation is a tree of messages, of which the branch that
// was shown last is taken.

import { isObject } from "../../lib/json-object.ts";
import { type Chat, type ChatMessage, fenced } from "./chat.ts";
import { textAt, timeText } from "./item.ts";

type Json = Readonly<Record<string, unknown>>;

/** Returns a conversation of the export; undefined for what is none. */
export function chatgptChat(value: unknown): Chat | undefined {
  if (!isObject(value) || !isObject(value["mapping"])) return undefined;
  const id = textAt(value, "conversation_id") || textAt(value, "id");
  if (id === "") return undefined;
  const model = textAt(value, "default_model_slug");
  return {
    id,
    title: textAt(value, "title"),
    created: timeText(value["create_time"]),
    updated: timeText(value["update_time"]),
    metadata: { ...(model === "" ? {} : { model }), ...(value["is_archived"] === true ? { archived: true } : {}) },
    messages: branchOf(value["mapping"], value["current_node"]).flatMap(messageOf),
  };
}

/** Returns the messages from the root to the current node, or to the newest one where none is named. */
function branchOf(mapping: Json, current: unknown): Json[] {
  const nodes = new Map(
    Object.entries(mapping).filter((entry): entry is [string, Record<string, unknown>] => isObject(entry[1])),
  );
  const branch: Json[] = [];
  const seen = new Set<string>();
  let at = typeof current === "string" && nodes.has(current) ? current : newestOf(nodes);
  while (at !== undefined && !seen.has(at)) {
    seen.add(at);
    const node = nodes.get(at);
    if (isObject(node?.["message"])) branch.push(node["message"]);
    const parent = node?.["parent"];
    at = typeof parent === "string" ? parent : undefined;
  }
  return branch.reverse();
}

function newestOf(nodes: ReadonlyMap<string, Json>): string | undefined {
  const timeOf = (node: Json) => (isObject(node["message"]) ? Number(node["message"]["create_time"] ?? 0) : 0);
  let newest: string | undefined;
  for (const [id, node] of nodes)
    if (newest === undefined || timeOf(node) >= timeOf(nodes.get(newest) ?? {})) newest = id;
  return newest;
}

function messageOf(message: Json): ChatMessage[] {
  const author = isObject(message["author"]) ? message["author"] : {};
  const about = isObject(message["metadata"]) ? message["metadata"] : {};
  const role = textAt(author, "role");
  if (role === "system" || about["is_visually_hidden_from_conversation"] === true) return [];
  const text = isObject(message["content"]) ? contentText(message["content"]) : "";
  if (text.trim() === "") return [];
  const name = role === "tool" && textAt(author, "name") !== "" ? `tool ${textAt(author, "name")}` : role || "unknown";
  return [{ author: name, at: timeText(message["create_time"]), text }];
}

/** Returns what was said. Thoughts, and what the user has set for all conversations, are no part of one. */
function contentText(content: Json): string {
  const type = textAt(content, "content_type");
  if (["user_editable_context", "model_editable_context", "thoughts", "reasoning_recap"].includes(type)) return "";
  if (type === "code") return fenced(textAt(content, "text"), textAt(content, "language").replace(/^unknown$/, ""));
  if (type === "execution_output") return fenced(textAt(content, "text"));
  const parts = Array.isArray(content["parts"]) ? content["parts"].map(partText).filter((text) => text !== "") : [];
  return parts.length > 0 ? parts.join("\n\n") : textAt(content, "text") || textAt(content, "result");
}

function partText(part: unknown): string {
  if (typeof part === "string") return part;
  if (!isObject(part)) return "";
  if (textAt(part, "text") !== "") return textAt(part, "text");
  const type = textAt(part, "content_type");
  return type === "" ? "" : `[${type.replace(/_asset_pointer$/, "").replaceAll("_", " ")}]`;
}
