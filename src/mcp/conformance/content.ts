// Conformance fixtures with fixed results: tools with each kind of content, resources and prompts, worded as the
// official suite expects them.

import {
  type CallToolResult,
  type GetPromptResult,
  type Prompt,
  ProtocolError,
  ProtocolErrorCode,
  type ReadResourceResult,
  type Resource,
  type ResourceTemplateType,
} from "@modelcontextprotocol/server";
import { RED_PIXEL_PNG, SILENCE_WAV } from "./media.ts";

/** A result of one text. */
export function say(text: string): CallToolResult {
  return { content: [{ type: "text", text }] };
}

const picture = { type: "image" as const, data: RED_PIXEL_PNG, mimeType: "image/png" };

/** Tools without arguments and with a fixed result. */
export const CONTENT_TOOLS: Record<string, { description: string; answer: () => CallToolResult }> = {
  test_simple_text: {
    description: "Answers one text.",
    answer: () => say("This is a simple text response for testing."),
  },
  test_image_content: { description: "Answers an image.", answer: () => ({ content: [picture] }) },
  test_audio_content: {
    description: "Answers a sound.",
    answer: () => ({ content: [{ type: "audio", data: SILENCE_WAV, mimeType: "audio/wav" }] }),
  },
  test_embedded_resource: {
    description: "Answers a resource inside the result.",
    answer: () => ({
      content: [
        {
          type: "resource",
          resource: {
            uri: "test://embedded-resource",
            mimeType: "text/plain",
            text: "This is an embedded resource content.",
          },
        },
      ],
    }),
  },
  test_multiple_content_types: {
    description: "Answers a text, an image and a resource.",
    answer: () => ({
      content: [
        { type: "text", text: "Multiple content types test:" },
        picture,
        {
          type: "resource",
          resource: {
            uri: "test://mixed-content-resource",
            mimeType: "application/json",
            text: JSON.stringify({ test: "data", value: 123 }),
          },
        },
      ],
    }),
  },
  test_error_handling: {
    description: "Fails, always.",
    answer: () => ({ ...say("This tool intentionally returns an error for testing"), isError: true }),
  },
  json_schema_2020_12_tool: {
    description: "Shows that a rich input schema reaches the client whole.",
    answer: () => say("JSON Schema 2020-12 tool called."),
  },
};

export const RESOURCES: readonly Resource[] = [
  { uri: "test://static-text", name: "static-text", description: "A text that never changes.", mimeType: "text/plain" },
  { uri: "test://static-binary", name: "static-binary", description: "A picture.", mimeType: "image/png" },
  { uri: "test://watched-resource", name: "watched-resource", description: "Can be watched.", mimeType: "text/plain" },
];

export const TEMPLATES: readonly ResourceTemplateType[] = [
  {
    uriTemplate: "test://template/{id}/data",
    name: "template-data",
    description: "Data made for an id.",
    mimeType: "application/json",
  },
];

/** Returns the resource of a URI, or undefined. */
export function readFixture(uri: string): ReadResourceResult | undefined {
  if (uri === "test://static-binary") return { contents: [{ uri, mimeType: "image/png", blob: RED_PIXEL_PNG }] };
  const text = {
    "test://static-text": "This is the content of the static text resource.",
    "test://watched-resource": "This resource can be watched.",
  }[uri];
  if (text !== undefined) return { contents: [{ uri, mimeType: "text/plain", text }] };
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id === undefined) return undefined;
  const data = { id, templateTest: true, data: `Data for ID: ${id}` };
  return { contents: [{ uri, mimeType: "application/json", text: JSON.stringify(data) }] };
}

export const PROMPTS: readonly Prompt[] = [
  { name: "test_simple_prompt", description: "One message." },
  {
    name: "test_prompt_with_arguments",
    description: "A message made from two arguments.",
    arguments: [
      { name: "arg1", description: "First argument", required: true },
      { name: "arg2", description: "Second argument", required: true },
    ],
  },
  {
    name: "test_prompt_with_embedded_resource",
    description: "A message with a resource inside.",
    arguments: [{ name: "resourceUri", description: "URI of the resource", required: true }],
  },
  { name: "test_prompt_with_image", description: "A message with an image." },
  { name: "test_input_required_result_prompt", description: "Asks the user before it answers." },
];

/** Returns the text of a prompt. */
export function promptFixture(name: string, given: Record<string, string>): GetPromptResult {
  switch (name) {
    case "test_simple_prompt":
      return { messages: [user("This is a simple prompt for testing.")] };
    case "test_prompt_with_arguments":
      return { messages: [user(`Prompt with arguments: arg1='${given["arg1"]}', arg2='${given["arg2"]}'`)] };
    case "test_prompt_with_embedded_resource":
      return {
        messages: [
          {
            role: "user",
            content: {
              type: "resource",
              resource: {
                uri: given["resourceUri"] ?? "",
                mimeType: "text/plain",
                text: "Embedded resource content for testing.",
              },
            },
          },
          user("Please process the embedded resource above."),
        ],
      };
    case "test_prompt_with_image":
      return { messages: [{ role: "user", content: picture }, user("Please analyze the image above.")] };
    default:
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown prompt: ${name}`);
  }
}

/** One message of the user. */
export function user(text: string): GetPromptResult["messages"][number] {
  return { role: "user", content: { type: "text", text } };
}
