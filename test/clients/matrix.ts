// The clients of the matrix, by exact version, and the run of all checks on one of them.

import { startDevNode } from "../kit/dev-node.ts";
import { type Agent, checkAgent } from "./agent.ts";
import { CHECK_NAMES, type Check, type Outcome } from "./checks.ts";
import { install, type Package } from "./install.ts";
import { checkLibrary, type Library, python } from "./library.ts";

/**
 * A client of the matrix; `limits` are reasons of its own for which a check fails, `notes` what is to be known of one
 * that passes.
 */
export type MatrixClient = {
  title: string;
  package: Package;
  limits?: Partial<Record<Check, string>>;
  notes?: Partial<Record<Check, string>>;
} & ({ library: Library } | { agent: Agent });

const npm = (name: string, version: string): Package => ({ registry: "npm", name, version });
const go = (name: string, version: string): Package => ({ registry: "go", name, version });
const cargo = (name: string, version: string): Package => ({ registry: "cargo", name, version });
const pip = (name: string, version: string): Package => ({ registry: "pip", name, version });

/** The key of agents for a model that asks for none. */
const ANY_KEY = "any";

const NO_CANCEL = "sends no cancellation and keeps the connection: the wait ends by its timeout";

/** By the names that the command line takes. */
export const MATRIX: Readonly<Record<string, MatrixClient>> = {
  "python-mcp-1": {
    title: "Python `mcp` 1.x",
    package: pip("mcp", "1.30.0"),
    limits: { cancel: NO_CANCEL },
    library: { driver: python("python-mcp-1.py") },
  },
  "python-mcp-2": {
    title: "Python `mcp` 2.x",
    package: pip("mcp", "2.3.0"),
    library: { driver: python("python-mcp-2.py") },
  },
  "ts-sdk-1": {
    title: "TypeScript SDK 1.x",
    package: npm("@modelcontextprotocol/sdk", "1.32.2"),
    library: { driver: () => ["node", "ts-sdk.mjs", "1"] },
  },
  "ts-sdk-2": {
    title: "TypeScript SDK 2.x",
    package: npm("@modelcontextprotocol/client", "2.4.0"),
    library: { driver: () => ["node", "ts-sdk.mjs", "2"] },
  },
  fastmcp: {
    title: "fastmcp",
    package: pip("fastmcp", "4.2.3"),
    library: { driver: python("fastmcp-client.py") },
  },
  langchain: {
    title: "langchain-mcp-adapters",
    package: pip("langchain-mcp-adapters", "0.3.2"),
    limits: { cancel: NO_CANCEL },
    library: { driver: python("langchain-client.py") },
  },
  "openai-agents": {
    title: "openai-agents",
    package: pip("openai-agents", "0.24.0"),
    library: { driver: python("openai-agents.py") },
  },
  "pydantic-ai": {
    title: "pydantic-ai",
    package: pip("pydantic-ai-slim[mcp]", "2.68.0"),
    library: { driver: python("pydantic-ai.py") },
  },
  "ai-sdk": {
    title: "AI SDK (`@ai-sdk/mcp`)",
    package: npm("@ai-sdk/mcp", "2.0.99"),
    library: { driver: () => ["node", "ai-sdk.mjs"] },
  },
  "go-sdk": {
    title: "Go SDK",
    package: go("github.com/modelcontextprotocol/go-sdk", "1.8.0"),
    library: { driver: () => ["./client"] },
  },
  "mcp-go": {
    title: "mcp-go",
    package: go("github.com/mark3labs/mcp-go", "1.2.1"),
    library: { driver: () => ["./client"] },
  },
  rmcp: {
    title: "Rust SDK (rmcp)",
    package: cargo("rmcp", "3.11.0"),
    library: { driver: () => ["./target/debug/client"] },
  },
  "claude-code": {
    title: "Claude Code",
    package: npm("@anthropic-ai/claude-code", "2.1.332"),
    notes: { long: "saves a result over 50,000 characters to a file; `context_get` asks it for 180,000" },
    agent: {
      words: ["claude", "-p", "go", "--mcp-config", "mcp.json", "--strict-mcp-config", "--allowedTools", "mcp__cairn"],
      env: (model) => ({
        ANTHROPIC_BASE_URL: model,
        ANTHROPIC_API_KEY: ANY_KEY,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      }),
      files: (node) => ({ "mcp.json": JSON.stringify({ mcpServers: { cairn: { type: "http", url: node } } }) }),
    },
  },
  codex: {
    title: "Codex",
    package: npm("@openai/codex", "0.171.0"),
    limits: {
      long: "its model sees the first and the last 6,000 characters of a result; `tool_output_token_limit` raises that",
    },
    agent: {
      words: ["codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "go"],
      files: (node, model) => ({
        ".codex/config.toml": [
          'model = "gpt-5"\nmodel_provider = "scripted"',
          `[model_providers.scripted]\nname = "scripted"\nbase_url = "${model}/v1"\nwire_api = "responses"`,
          `[mcp_servers.cairn]\nurl = "${node}"\n`,
        ].join("\n"),
      }),
    },
  },
  "gemini-cli": {
    title: "Gemini CLI",
    package: npm("@google/gemini-cli", "0.61.0"),
    notes: { long: "of a result over 40,000 characters its model sees the first 8,000 and the last 32,000" },
    agent: {
      words: ["gemini", "-p", "go", "--yolo", "-m", "gemini-2.5-flash"],
      env: (model) => ({
        GOOGLE_GEMINI_BASE_URL: model,
        GEMINI_API_KEY: ANY_KEY,
        GEMINI_CLI_TRUST_WORKSPACE: "true",
        GEMINI_TELEMETRY_ENABLED: "false",
      }),
      files: (node) => ({
        ".gemini/settings.json": JSON.stringify({
          mcpServers: { cairn: { httpUrl: node } },
          security: { auth: { selectedType: "gemini-api-key" } },
          privacy: { usageStatisticsEnabled: false },
        }),
      }),
    },
  },
  "qwen-code": {
    title: "Qwen Code",
    package: npm("@qwen-code/qwen-code", "0.24.4"),
    limits: { long: "saves a result over 25,000 characters to a file; its model sees the first 2,000" },
    agent: {
      serverArgument: "server_name",
      words: ["qwen", "-p", "go", "--yolo", "-m", "model"],
      env: (model) => ({ OPENAI_BASE_URL: `${model}/v1`, OPENAI_API_KEY: ANY_KEY }),
      files: (node) => ({
        ".qwen/settings.json": JSON.stringify({
          mcpServers: { cairn: { httpUrl: node } },
          security: { auth: { selectedType: "openai" } },
          privacy: { usageStatisticsEnabled: false },
        }),
      }),
    },
  },
  opencode: {
    title: "opencode",
    package: npm("opencode-ai", "1.18.33"),
    notes: { long: "saves a result over 50 KB to a file; its model sees none of a document in it" },
    agent: {
      words: ["opencode", "run", "-m", "scripted/model", "go"],
      files: (node, model) => ({
        ".config/opencode/opencode.json": JSON.stringify({
          autoupdate: false,
          permission: "allow",
          mcp: { cairn: { type: "remote", url: node, enabled: true } },
          provider: {
            scripted: {
              npm: "@ai-sdk/openai-compatible",
              options: { baseURL: `${model}/v1`, apiKey: ANY_KEY },
              models: { model: { name: "model", tool_call: true } },
            },
          },
        }),
      }),
    },
  },
  "copilot-cli": {
    title: "Copilot CLI",
    package: npm("@github/copilot", "1.0.102"),
    limits: {
      long: "saves a result over 20 KB to a file; its model sees the first 500 characters",
      restart: "refuses a call whose tools were listed again since its model chose it",
    },
    agent: {
      words: ["copilot", "-p", "go", "--allow-all-tools"],
      env: (model) => ({
        COPILOT_PROVIDER_BASE_URL: `${model}/v1`,
        COPILOT_PROVIDER_TYPE: "openai",
        COPILOT_PROVIDER_API_KEY: ANY_KEY,
        COPILOT_MODEL: "gpt-5",
        COPILOT_OFFLINE: "true",
      }),
      files: (node) => ({
        ".copilot/mcp-config.json": JSON.stringify({
          mcpServers: { cairn: { type: "http", url: node, tools: ["*"] } },
        }),
      }),
    },
  },
};

/** Installs the client, starts a node for it alone, and runs the checks. */
export async function checkClient(name: string, client: MatrixClient): Promise<Outcome[]> {
  const installed = install(name, client.package);
  if ("missing" in installed)
    return CHECK_NAMES.map((check) => ({ check, result: "skipped", note: `not installed: ${installed.missing}` }));
  await using node = await startDevNode();
  const outcomes =
    "library" in client
      ? await checkLibrary(client.library, installed.folder, node)
      : await checkAgent(client.agent, installed.folder, node);
  return outcomes.map((outcome) => {
    const { check, result } = outcome;
    const limit = result === "failed" ? client.limits?.[check] : undefined;
    if (limit !== undefined) return { check, result: "limited", note: limit };
    return result === "passed" ? { ...outcome, note: client.notes?.[check] ?? "" } : outcome;
  });
}
