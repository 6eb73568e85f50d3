// The official MCP Inspector against the served endpoint, in both eras: its strict judgement of the tool schemas, and
// each kind of request once, as a stranger's client makes it. It is no dependency of the project: installed by exact
// version into build/ when it is first needed.

import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { finished } from "../../scripts/finished.ts";

const VERSION = "2.12.0";
const INSTALL_MS = 180_000;
const CALL_MS = 60_000;
const root = resolve(import.meta.dir, "../..");
const folder = join(root, "build/inspector");
const packed = join(folder, "node_modules/@modelcontextprotocol/inspector");

export interface Inspection {
  era: string;
  passed: number;
  /** What failed, with what the Inspector said. */
  failures: string[];
}

/** Installs the Inspector unless it is there; answers why it cannot be used, or undefined. */
export function ensureInspector(): string | undefined {
  if (installedVersion() === VERSION) return undefined;
  const npm = Bun.which("npm");
  if (npm === null) return "the MCP Inspector needs npm";
  mkdirSync(folder, { recursive: true });
  const options = ["--ignore-scripts", "--no-save", "--no-audit", "--no-fund", "--prefix", folder];
  const { exitCode, stderr } = Bun.spawnSync(
    [npm, "install", ...options, `@modelcontextprotocol/inspector@${VERSION}`],
    {
      timeout: INSTALL_MS,
    },
  );
  if (exitCode === 0 && installedVersion() === VERSION) return undefined;
  const said = stderr
    .toString()
    .split("\n")
    .find((line) => line.startsWith("npm error"));
  return `the MCP Inspector ${VERSION} could not be installed (${said ?? `npm ended with ${exitCode}`})`;
}

function installedVersion(): string | undefined {
  const path = join(packed, "package.json");
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).version : undefined;
}

/** Runs every request of one era. `home` is a folder for what the Inspector keeps. */
export async function inspect(node: string, url: string, era: "legacy" | "modern", home: string): Promise<Inspection> {
  const id = `inspector/${era}`;
  const put = JSON.stringify({ id, content: { era }, tags: ["inspected"] });
  const checks: [string, string[], (result: never) => boolean][] = [
    ["tools/list", ["--strict"], ({ tools }: { tools: unknown[] }) => tools.length > 10],
    ["tools/call", ["--tool-name", "context_put", "--tool-args-json", put], created],
    ["tools/call", ["--tool-name", "context_get", "--tool-arg", `id=${id}`], ofEra(era)],
    [
      "resources/list",
      [],
      ({ resources }: { resources: { name: string }[] }) => resources.some(({ name }) => name === id),
    ],
    ["resources/templates/list", [], (result: { resourceTemplates: unknown[] }) => result.resourceTemplates.length > 0],
    [
      "resources/read",
      ["--uri", `cairn:///${id}`],
      ({ contents }: { contents: { text: string }[] }) => contents[0]?.text === JSON.stringify({ era }),
    ],
    [
      "prompts/list",
      [],
      ({ prompts }: { prompts: { name: string }[] }) => prompts.some(({ name }) => name === "handoff"),
    ],
    ["prompts/get", ["--prompt-name", "prime", "--prompt-args", "space=inspector"], said(id)],
    [
      "prompts/get",
      ["--prompt-name", "handoff", "--prompt-args", "topic=Inspection", "space=inspector"],
      said("inspector/handoff/inspection"),
    ],
  ];
  const inspection: Inspection = { era, passed: 0, failures: [] };
  for (const [method, more, holds] of checks) {
    const problem = await problemOf([node, url, era, home], method, more, holds);
    if (problem === undefined) inspection.passed++;
    else inspection.failures.push(`${method} ${more.join(" ")}: ${problem}`);
  }
  return inspection;
}

async function problemOf(
  [node, url, era, home]: [string, string, string, string],
  method: string,
  more: string[],
  holds: (result: never) => boolean,
): Promise<string | undefined> {
  const launcher = join(packed, "clients/launcher/build/index.js");
  const target = ["--server-url", url, "--transport", "http", "--protocol-era", era];
  const child = Bun.spawn([node, launcher, "--cli", ...target, "--method", method, "--format", "json", ...more], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: CALL_MS,
    env: { PATH: process.env["PATH"] ?? "", HOME: home },
  });
  const { out: output, err: errors, code: exitCode } = await finished(child);
  if (exitCode !== 0) return `ended with ${exitCode}: ${errors.slice(-2000)}`;
  const { result } = JSON.parse(output) as { result: never };
  return holds(result) ? undefined : `unexpected: ${output.slice(0, 1000)}`;
}

const created = ({ structuredContent }: { structuredContent?: { created?: boolean } }) =>
  structuredContent?.created === true;

function ofEra(era: string) {
  return ({ structuredContent }: { structuredContent?: { content?: { era?: string } } }) =>
    structuredContent?.content?.era === era;
}

function said(words: string) {
  return ({ messages }: { messages: { content: { text: string } }[] }) =>
    messages[0]?.content.text.includes(words) === true;
}
