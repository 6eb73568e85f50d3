// Every line that `cairn setup` prints, run with the real clients, each in a home of its own. The client then names the
// server, and connects to it where its list shows that.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "../../scripts/finished.ts";
import { CLIENTS, type ClientName, clientLines } from "../../src/lib/client-lines.ts";
import { install, lastLine, pathOf, ROOT } from "./install.ts";
import { MATRIX } from "./matrix.ts";

/** How a client of the matrix is asked. */
interface Installed {
  /** Its command, which lists servers with `mcp list`. */
  command: string;
  /** Matches the list where the client has connected to the server; left out: it does not show that. */
  connected?: RegExp;
  /** Where `mcp add` writes, below its home. */
  file: string;
}

const INSTALLED: Readonly<Partial<Record<ClientName, Installed>>> = {
  "claude-code": {
    command: "claude",
    connected: /cairn.*✔ Connected|cairn.*✓ Connected/,
    file: ".claude.json",
  },
  codex: { command: "codex", file: ".codex/config.toml" },
  "gemini-cli": { command: "gemini", file: ".gemini/settings.json" },
  "qwen-code": {
    command: "qwen",
    file: ".qwen/settings.json",
  },
  opencode: {
    command: "opencode",
    connected: /cairn[\s\S]*connected/,
    file: ".config/opencode/opencode.jsonc",
  },
  "copilot-cli": { command: "copilot", file: ".copilot/mcp-config.json" },
};

/** Time for one command of a client, in ms; the first start of some unpacks a package. */
const COMMAND_MS = 120_000;

/** What came of one line. */
export interface LineOutcome {
  client: ClientName;
  line: string;
  result: "passed" | "failed" | "skipped";
  note: string;
}

/** Runs the lines of these clients against the MCP server at that URL. */
export async function checkLines(chosen: (name: string) => boolean, url: string): Promise<LineOutcome[]> {
  const outcomes: LineOutcome[] = [];
  for (const client of CLIENTS.filter(chosen)) outcomes.push(...(await linesOf(client, url)));
  return outcomes;
}

async function linesOf(client: ClientName, mcpUrl: string): Promise<LineOutcome[]> {
  const installed = INSTALLED[client];
  const known = MATRIX[client];
  if (installed === undefined || known === undefined)
    return [{ client, line: "", result: "skipped", note: "installs from no registry" }];
  const made = install(client, known.package);
  if ("missing" in made) return [{ client, line: "", result: "skipped", note: `not installed: ${made.missing}` }];
  const bridge = [process.execPath, join(ROOT, "src", "main.ts"), "bridge"];
  const targets = [
    { transport: "http", target: { name: "cairn", mcpUrl, bridge } },
    { transport: "stdio", target: { name: "cairn", mcpUrl, bridge: [...bridge, "--url", new URL(mcpUrl).origin] } },
    { transport: "stdio", target: { name: "cairn", mcpUrl, bridge: [...bridge, "--fleet"] } },
  ] as const;
  const found: LineOutcome[] = [];
  for (const { transport, target } of targets) {
    const step = clientLines(client, target, transport).steps.find(({ kind }) => kind === "run");
    if (step === undefined) continue;
    const isFleet = target.bridge.includes("--fleet");
    const note = await failureOf(installed, made.folder, mcpUrl, step.text, isFleet ? undefined : installed.connected);
    const line = step.text.replaceAll(process.execPath, "bun").replaceAll(`${ROOT}/`, "");
    found.push({ client, line, result: note === undefined ? "passed" : "failed", note: note ?? "" });
  }
  return found;
}

/** Runs the line in a new home. Returns what is wrong afterwards, or undefined. */
async function failureOf(
  { command, file }: Installed,
  folder: string,
  url: string,
  line: string,
  connected: RegExp | undefined,
): Promise<string | undefined> {
  const home = mkdtempSync(join(tmpdir(), "cairn-client-"));
  try {
    const added = await run(folder, home, line);
    if (added.code !== 0) return `exit ${added.code}: ${lastLine(added.out)}`;
    const path = join(home, file);
    const stored = existsSync(path) ? readFileSync(path, "utf8") : "";
    const wanted = line.includes("/mcp") ? url : "bridge";
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
  const child = Bun.spawn({
    cmd: ["bash", "-c", line],
    cwd: home,
    env: { PATH: pathOf(folder), HOME: home, NO_COLOR: "1", GEMINI_CLI_TRUST_WORKSPACE: "true" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: COMMAND_MS,
  });
  const { out, err, code } = await finished(child);
  return { code, out: `${out}\n${err}` };
}
