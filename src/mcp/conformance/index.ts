// The fixtures that `serve --conformance` adds to the MCP endpoint, so that the official suite can certify the
// executable that is shipped. Never on the tailnet.

import type { CallToolResult, ServerContext, ServerEvent, Tool } from "@modelcontextprotocol/server";
import { callerName } from "../../access/caller.ts";
import { pause } from "../../lib/pause.ts";
import type { Fixtures } from "../server.ts";
import { ASKING_TOOLS, askingPrompt, verifyState } from "./asking.ts";
import { CONTENT_TOOLS, PROMPTS, promptFixture, RESOURCES, readFixture, say, TEMPLATES } from "./content.ts";
import { RICH_SCHEMA } from "./rich-schema.ts";

const STEP_MS = 50;

/** Returns the fixtures; `emit` sends an event on every listen stream. */
export function conformanceFixtures(emit: (event: ServerEvent) => void): Fixtures {
  const working = workingTools(emit);
  return {
    capabilities: {
      tools: { listChanged: true },
      prompts: { listChanged: true },
      logging: {},
    },
    options: { requestState: { verify: verifyState } },
    tools: [...Object.entries(CONTENT_TOOLS), ...Object.entries(ASKING_TOOLS), ...Object.entries(working)].map(
      ([name, { description }]) => toolOf(name, description),
    ),
    resources: RESOURCES,
    templates: TEMPLATES,
    prompts: PROMPTS,
    call: (name, input, context, caller) => {
      const content = own(CONTENT_TOOLS, name);
      if (content !== undefined) return Promise.resolve(content.answer());
      const asking = own(ASKING_TOOLS, name);
      if (asking !== undefined)
        return Promise.resolve(asking.run({ tool: name, input, context, owner: callerName(caller) }));
      return own(working, name)?.run(context);
    },
    read: readFixture,
    prompt: (name, given, context) =>
      name === "test_input_required_result_prompt" ? askingPrompt(context) : promptFixture(name, given),
  };
}

type Working = Record<string, { description: string; run: (context: ServerContext) => Promise<CallToolResult> }>;

/** Tools that take a moment and report it. */
function workingTools(emit: (event: ServerEvent) => void): Working {
  return {
    test_tool_with_logging: { description: "Logs three lines while it works.", run: logThrice },
    test_logging_tool: { description: "Logs where the request asks for it.", run: logThrice },
    test_tool_with_progress: { description: "Tells its progress in three steps.", run: progress },
    test_reconnection: {
      description: "Closes its stream before it answers; the answer waits for the client to come back.",
      run: async ({ http, mcpReq }) => {
        http?.closeSSE?.();
        await pause(2 * STEP_MS, mcpReq.signal);
        return say("Reconnection test completed.");
      },
    },
    test_trigger_tool_change: {
      description: "Says to listeners that the tools changed.",
      run: async () => {
        emit({ kind: "tools_list_changed" });
        return say("Told.");
      },
    },
    test_trigger_prompt_change: {
      description: "Says to listeners that the prompts changed.",
      run: async () => {
        emit({ kind: "prompts_list_changed" });
        return say("Told.");
      },
    },
  };
}

async function logThrice({ mcpReq }: ServerContext): Promise<CallToolResult> {
  await mcpReq.log("info", "Tool execution started");
  await pause(STEP_MS, mcpReq.signal);
  await mcpReq.log("info", "Tool processing data");
  await pause(STEP_MS, mcpReq.signal);
  await mcpReq.log("info", "Tool execution completed");
  return say("Logged three lines.");
}

async function progress({ mcpReq }: ServerContext): Promise<CallToolResult> {
  const progressToken = mcpReq._meta?.progressToken;
  for (const step of [0, 50, 100]) {
    if (step > 0) await pause(STEP_MS, mcpReq.signal);
    if (progressToken === undefined) continue;
    await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress: step, total: 100 } });
  }
  return say("Progress was told.");
}

const TEXT_ARGUMENT: Record<string, string> = { test_sampling: "prompt", test_elicitation: "message" };

function toolOf(name: string, description: string): Tool {
  if (name === "json_schema_2020_12_tool") return { name, description, inputSchema: RICH_SCHEMA };
  const text = own(TEXT_ARGUMENT, name);
  if (text === undefined) return { name, description, inputSchema: { type: "object", properties: {} } };
  return {
    name,
    description,
    inputSchema: { type: "object", properties: { [text]: { type: "string" } }, required: [text] },
  };
}

function own<Value>(record: Record<string, Value>, name: string): Value | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
