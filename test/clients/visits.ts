// What a client does at the addresses of presets, and what must come of it: the same steps for a driver of a library
// and for the script of an agent's model.

import type { DevNode } from "../kit/dev-node.ts";
import { eventually } from "../kit/eventually.ts";
import { callOperation, writeText } from "./over-rest.ts";

/** A visit of one address. */
export interface Visit {
  /** The name of the preset. */
  preset: string;
  steps: readonly { tool: string; arguments: object }[];
  /** A tool of `/mcp` that the client must not be offered here. */
  absent: string;
  /** Throws unless what the client showed of each step, and what the node stored, is right. */
  judge(shown: readonly string[]): Promise<void>;
}

/** By the check that makes it. */
export const VISITS = { memory, collaboration, openai } as const;

const REMEMBERED = "Ann prefers 12345678901234567890 tabs.";
const SAID = "Said by the client.";
const ZEPPELIN = "The zeppelinstart is on Friday.";
const ANSWERED = "Said by another agent.";

async function memory(node: DevNode): Promise<Visit> {
  const key = "matrix/indentation";
  // A client of an earlier run may have left it.
  await callOperation(node, "memory_delete", { key }).catch(() => {});
  return {
    preset: "memory",
    absent: "context_put",
    steps: [
      { tool: "memory_store", arguments: { value: REMEMBERED, key, kind: "fact", about: "matrix-ann" } },
      { tool: "memory_profile", arguments: { about: "matrix-ann" } },
      { tool: "memory_get", arguments: { key } },
    ],
    async judge([, profile = "", got = ""]) {
      for (const shown of [profile, got]) mustShow(shown, REMEMBERED);
      const stored = await callOperation(node, "memory_get", { key });
      if (stored["value"] !== REMEMBERED) throw new Error(`stored as ${JSON.stringify(stored)}`);
    },
  };
}

async function collaboration(node: DevNode): Promise<Visit> {
  const { session } = await callOperation(node, "session_create", { purpose: "Try a client" });
  await callOperation(node, "message_post", { session, text: ANSWERED });
  return {
    preset: "collaboration",
    absent: "message_post",
    steps: [
      { tool: "authenticate_agent", arguments: { agent_id: "matrix-client", agent_type: "tester" } },
      { tool: "add_message", arguments: { session_id: session, content: SAID } },
      { tool: "get_messages", arguments: { session_id: session } },
    ],
    async judge([authenticated = "", , messages = ""]) {
      mustShow(authenticated, "sct_");
      for (const text of [SAID, ANSWERED]) mustShow(messages, text);
      const listed = JSON.stringify(await callOperation(node, "message_list", { session }));
      if (!listed.includes(SAID)) throw new Error(`the node has ${listed}`);
    },
  };
}

async function openai(node: DevNode): Promise<Visit> {
  const id = "matrix/zeppelin";
  await writeText(node, id, ZEPPELIN);
  await eventually("the document to be found", async () => {
    const { hits } = await callOperation(node, "search", { query: "zeppelinstart" });
    return JSON.stringify(hits).includes(id);
  });
  return {
    preset: "openai",
    absent: "context_get",
    steps: [
      { tool: "search", arguments: { query: "zeppelinstart" } },
      { tool: "fetch", arguments: { id } },
    ],
    judge([found = "", fetched = ""]) {
      for (const part of [id, `${node.url}/ui/contexts/${id}`]) mustShow(found, part);
      mustShow(fetched, ZEPPELIN);
      return Promise.resolve();
    },
  };
}

function mustShow(shown: string, text: string): void {
  if (!shown.includes(text)) throw new Error(`${JSON.stringify(text)} is not in ${shown}`);
}
