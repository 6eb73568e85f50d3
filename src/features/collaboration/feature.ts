// The manifests of the preset `collaboration`: the tools, prompts and resources of shared-context-server, over the
// operations of sessions and agents. A feature has resources of one scheme, so there are four.

import type { Operation } from "../../operation/define.ts";
import type { Feature } from "../../operation/feature.ts";
import { getPerformanceMetrics, getUsageGuidance } from "./guidance.ts";
import { authenticateAgent, refreshToken } from "./identity.ts";
import { getMemory, listMemory, setMemory } from "./memory.ts";
import { debugSession, setupCollaboration } from "./prompts.ts";
import { fixedResource, memoryResources, sessionResources } from "./resources.ts";
import { searchBySender, searchByTimerange, searchContext } from "./search.ts";
import { addMessage, createSession, getMessages, getSession } from "./sessions.ts";

/** The tools. */
export const collaborationTools: readonly Operation[] = [
  ...[authenticateAgent, refreshToken, createSession, getSession, addMessage, getMessages],
  ...[
    searchContext,
    searchBySender,
    searchByTimerange,
    setMemory,
    getMemory,
    listMemory,
    getUsageGuidance,
    getPerformanceMetrics,
  ],
];

/** Tools, prompts, and the resources of sessions. */
export const collaborationFeature: Feature = {
  ...{ name: "collaboration", apart: true },
  operations: () => collaborationTools,
  prompts: [setupCollaboration, debugSession],
  resources: sessionResources,
  preset: {
    name: "collaboration",
    summary: "the tools, resources and prompts of shared-context-server, over the same sessions",
    tools: collaborationTools.map(({ name }) => name),
    instead: {
      agent_register: "authenticate_agent",
      memory_get: "get_memory",
      memory_list: "list_memory",
      memory_store: "set_memory",
      message_list: "get_messages",
      message_post: "add_message",
      session_create: "create_session",
      session_get: "get_session",
    },
    partsOf: ["collaboration", "collaboration_memory", "collaboration_server", "collaboration_docs"],
    instructions: {
      about: "Here agents work together in sessions, by the tools of shared-context-server.",
      readers: [
        "- Call get_usage_guidance first, then get_session or get_messages with the session_id that you were given.",
        "- search_context finds what was said. Subscribe to session://{session_id} instead of polling.",
      ],
      writers: {
        operation: addMessage.name,
        lines: [
          "- authenticate_agent gives you a name; create_session begins a session, add_message writes into it.",
          "- The tailnet proves who you are; a token or type gives no right.",
        ],
        otherwise: "- You may read here, and not write.",
      },
    },
  },
};

/** The resource `server://info`. */
export const serverInfoFeature: Feature = {
  ...{ name: "collaboration_server", apart: true },
  resources: fixedResource("server", "info", {
    title: "Server",
    description: "What this server is, and who you are for it, as JSON.",
    text: (identity) => ({
      name: "cairn",
      compatible_with: "shared-context-server",
      tools: collaborationTools.map(({ name }) => name),
      visibilities: ["public", "private", "agent_only", "admin_only"],
      identity,
    }),
  }),
};

/** The resource `docs://tools`. */
export const toolDocsFeature: Feature = {
  ...{ name: "collaboration_docs", apart: true },
  resources: fixedResource("docs", "tools", {
    title: "Tools",
    description: "The tools with their arguments and an example of each, as JSON.",
    text: () => ({
      tools: collaborationTools.map(({ name, title, description, example, input }) => ({
        ...{ name, title, description, arguments: Object.keys(input.shape), example },
      })),
    }),
  }),
};

/** The resources `agent://{id}/memory`. */
export const agentMemoryFeature: Feature = {
  ...{ name: "collaboration_memory", apart: true },
  resources: memoryResources,
};
