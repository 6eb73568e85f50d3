// The configuration of MCP clients: one text per client, shared by `cairn setup`, `npm start`, the start-up lines and
// the page. Cairn only prints it and never writes into another program's configuration.

/** The clients, in the order in which they are shown. */
export const CLIENTS = [
  "claude-code",
  "codex",
  "cursor",
  "vscode",
  "gemini-cli",
  "qwen-code",
  "opencode",
  "copilot-cli",
  "claude-desktop",
] as const;
/** One of them. */
export type ClientName = (typeof CLIENTS)[number];

/** How a client reaches the node. */
export interface ClientTarget {
  /** The client's name for this server; `cairn` unless there are several. */
  name: string;
  /** `http://cairn/mcp`, or null where only the bridge reaches the node. */
  mcpUrl: string | null;
  /** The command that runs the stdio bridge on the client's machine, word by word. */
  bridge: readonly string[];
}

/** One step: run `text` in a shell, or put it into the file that `where` names. */
export interface ClientStep {
  kind: "run" | "file";
  /** Where the text goes, in a few words. */
  where: string;
  text: string;
}

/** Everything to do for one client. */
export interface ClientLines {
  client: ClientName;
  /** The client's own name. */
  title: string;
  /** Alternatives: one of them is enough. */
  steps: readonly ClientStep[];
  /** A further note, or "". */
  note: string;
}

/**
 * Returns the lines for one client: over HTTP, or by the stdio bridge where `transport` says so, there is no URL, or
 * the client supports nothing else.
 */
export function clientLines(client: ClientName, target: ClientTarget, transport?: "http" | "stdio"): ClientLines {
  const { name, mcpUrl, bridge } = target;
  if (mcpUrl === null || transport === "stdio" || client === "claude-desktop") return stdioLines(client, name, bridge);
  const url = shellWord(mcpUrl);
  const word = shellWord(name);
  switch (client) {
    case "claude-code":
      return lines(client, [
        run(`claude mcp add --transport http ${word} ${url}`),
        file(".mcp.json of a project", { mcpServers: { [name]: { type: "http", url: mcpUrl } } }),
      ]);
    case "codex":
      return lines(client, [
        run(`codex mcp add ${word} --url ${url}`),
        { kind: "file", where: CODEX_FILE, text: `[mcp_servers.${tomlKey(name)}]\nurl = ${JSON.stringify(mcpUrl)}` },
      ]);
    case "cursor":
      return lines(client, [file(CURSOR_FILE, { mcpServers: { [name]: { url: mcpUrl } } })]);
    case "vscode":
      return lines(client, [
        run(`code --add-mcp ${shellWord(JSON.stringify({ name, type: "http", url: mcpUrl }))}`),
        file(VSCODE_FILE, { servers: { [name]: { type: "http", url: mcpUrl } } }),
      ]);
    case "gemini-cli":
      return lines(client, [
        run(`gemini mcp add --scope user --transport http ${word} ${url}`),
        file(GEMINI_FILE, { mcpServers: { [name]: { httpUrl: mcpUrl } } }),
      ]);
    case "qwen-code":
      return lines(client, [
        run(`qwen mcp add --transport http ${word} ${url}`),
        file(QWEN_FILE, { mcpServers: { [name]: { httpUrl: mcpUrl } } }),
      ]);
    case "opencode":
      return lines(client, [
        run(`opencode mcp add ${word} --url ${url}`),
        file(OPENCODE_FILE, { mcp: { [name]: { type: "remote", url: mcpUrl } } }),
      ]);
    case "copilot-cli":
      return lines(client, [
        run(`copilot mcp add --transport http ${word} ${url}`),
        file(COPILOT_FILE, { mcpServers: { [name]: { type: "http", url: mcpUrl, tools: ["*"] } } }),
      ]);
  }
}

function stdioLines(client: ClientName, name: string, bridge: readonly string[]): ClientLines {
  const [command = "cairn", ...args] = bridge;
  const words = bridge.map(shellWord).join(" ");
  const word = shellWord(name);
  const server = { command, args };
  switch (client) {
    case "claude-code":
      return lines(client, [run(`claude mcp add ${word} -- ${words}`)]);
    case "codex":
      return lines(client, [
        run(`codex mcp add ${word} -- ${words}`),
        {
          kind: "file",
          where: CODEX_FILE,
          text: `[mcp_servers.${tomlKey(name)}]\ncommand = ${JSON.stringify(command)}\nargs = ${JSON.stringify(args)}`,
        },
      ]);
    case "cursor":
      return lines(client, [file(CURSOR_FILE, { mcpServers: { [name]: server } })]);
    case "vscode":
      return lines(client, [
        run(`code --add-mcp ${shellWord(JSON.stringify({ name, ...server }))}`),
        file(VSCODE_FILE, { servers: { [name]: { type: "stdio", ...server } } }),
      ]);
    case "gemini-cli":
      return lines(client, [
        run(`gemini mcp add --scope user ${word} ${optionsApart(bridge)}`),
        file(GEMINI_FILE, { mcpServers: { [name]: server } }),
      ]);
    case "qwen-code":
      return lines(client, [
        run(`qwen mcp add ${word} ${optionsApart(bridge)}`),
        file(QWEN_FILE, { mcpServers: { [name]: server } }),
      ]);
    case "opencode":
      return lines(client, [
        run(`opencode mcp add ${word} -- ${words}`),
        file(OPENCODE_FILE, { mcp: { [name]: { type: "local", command: bridge } } }),
      ]);
    case "copilot-cli":
      return lines(client, [
        run(`copilot mcp add ${word} -- ${words}`),
        file(COPILOT_FILE, { mcpServers: { [name]: { type: "local", ...server, tools: ["*"] } } }),
      ]);
    case "claude-desktop":
      return lines(
        client,
        [file("claude_desktop_config.json (Settings, Developer, Edit Config)", { mcpServers: { [name]: server } })],
        "Claude Desktop starts local commands only, so it goes by the bridge: give the full path of the cairn executable on that machine, then restart it.",
      );
  }
}

/** Gemini CLI and Qwen Code take options of the command as its own unless they follow `--`. */
function optionsApart(bridge: readonly string[]): string {
  const at = bridge.findIndex((word) => word.startsWith("-"));
  const words = at < 0 ? bridge : [...bridge.slice(0, at), "--", ...bridge.slice(at)];
  return words.map(shellWord).join(" ");
}

const TITLES: Readonly<Record<ClientName, string>> = {
  "claude-code": "Claude Code",
  codex: "Codex",
  cursor: "Cursor",
  vscode: "VS Code",
  "gemini-cli": "Gemini CLI",
  "qwen-code": "Qwen Code",
  opencode: "opencode",
  "copilot-cli": "Copilot CLI",
  "claude-desktop": "Claude Desktop",
};

const CODEX_FILE = "~/.codex/config.toml";
const CURSOR_FILE = "~/.cursor/mcp.json, or .cursor/mcp.json of a project";
const VSCODE_FILE = ".vscode/mcp.json, or mcp.json of the user profile";
const GEMINI_FILE = "~/.gemini/settings.json";
const QWEN_FILE = "~/.qwen/settings.json";
const OPENCODE_FILE = "~/.config/opencode/opencode.json, or opencode.json of a project";
const COPILOT_FILE = "~/.copilot/mcp-config.json";

function lines(client: ClientName, steps: readonly ClientStep[], note = ""): ClientLines {
  return { client, title: TITLES[client], steps, note };
}

function run(text: string): ClientStep {
  return { kind: "run", where: "in a shell", text };
}

function file(where: string, content: unknown): ClientStep {
  return { kind: "file", where, text: JSON.stringify(content, null, 2) };
}

/** Quotes one word for a POSIX shell. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function tomlKey(name: string): string {
  return /^[A-Za-z0-9_-]+$/.test(name) ? name : JSON.stringify(name);
}
