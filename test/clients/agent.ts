// The checks on an agent: its command line runs once, with a model that follows a script (model.ts), and the script
// makes each check with the tools that the agent offers.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { finished } from "../../scripts/finished.ts";
import type { DevNode } from "../kit/dev-node.ts";
import { eventually } from "../kit/eventually.ts";
import {
  AWKWARD_ID,
  CHECK_NAMES,
  type Check,
  DIGITS,
  JSON_TEXT,
  LONG_TEXT,
  mustBeWhole,
  mustHelp,
  NotInClient,
  type Outcome,
  outcomeOf,
} from "./checks.ts";
import { lastLine, pathOf } from "./install.ts";
import { ScriptedModel, type Turn } from "./model.ts";
import { readText, streamsOf, writeText } from "./over-rest.ts";
import { VISITS } from "./visits.ts";

/** An agent, and how it gets the addresses of node and model. */
export interface Agent {
  /** The words of its command line. */
  words: readonly string[];
  env?: (model: string) => Record<string, string>;
  /** Files below its home, by their paths. */
  files?: (node: string, model: string) => Record<string, string>;
  /** The argument by which its tool for resources names the server; left out: `server`. */
  serverArgument?: string;
}

const RUN_MS = 150_000;

/** Names of the two agents that load tools on demand. */
const LOADED = [
  "mcp__cairn__context_put",
  "mcp__cairn__context_get",
  "mcp__cairn__context_wait",
  "ListMcpResourcesTool",
  "ReadMcpResourceTool",
  "read_mcp_resource",
];

type Step = "search" | "put" | "digits" | "get" | "long" | "missing" | "list" | "read" | "wait" | "restarted";

/** Runs the agent against the node and returns an outcome for each check. */
export async function checkAgent(agent: Agent, folder: string, node: DevNode): Promise<Outcome[]> {
  // Some ask for the list of resources only when they connect.
  await writeText(node, AWKWARD_ID, "before");
  await writeText(node, "matrix/long", LONG_TEXT);
  const steps = stepsFor(node, agent.serverArgument);
  await using model = new ScriptedModel(Object.values(steps));
  const ended = await run(agent, folder, `${node.url}/mcp`, model.url);
  const shown = (step: Step) => {
    const text = model.shown[Object.keys(steps).indexOf(step)];
    if (text === undefined && model.tools.size === 0) throw new Error(`no request to the model: ${ended}`);
    return text;
  };
  const result = (step: Step) => {
    const text = shown(step);
    if (text === undefined) throw new Error(`the model was shown no result of "${step}": ${ended}`);
    return text;
  };
  const runs: Record<Exclude<Check, keyof typeof VISITS>, () => Promise<void> | void> = {
    connects: () => void result("put"),
    tools: () => {
      for (const name of ["context_put", "context_get", "context_wait"])
        if (![...model.tools].some((one) => one.endsWith(name))) throw new Error(`${name} is not offered to the model`);
    },
    text: async () => {
      for (const [id, content] of Object.entries({ [AWKWARD_ID]: JSON_TEXT, "matrix/digits": DIGITS })) {
        const stored = await readText(node, id);
        if (stored !== content) throw new Error(`${id} is stored as ${JSON.stringify(stored)}`);
      }
      if (!result("get").includes(DIGITS)) throw new Error(`read back as ${result("get")}`);
    },
    long: () => mustBeWhole(result("long")),
    error: () => mustHelp(result("missing"), "matrix/missing"),
    resources: () => {
      const [list, read] = [shown("list"), shown("read")];
      if (read === undefined) throw new NotInClient("offers its model no resources");
      if (!read.includes(DIGITS)) throw new Error(`read as ${read}`);
      if (list === undefined) throw new NotInClient("reads the resource; offers its model no list of them");
      if (!list.includes("cairn:///user:alice/notes") && !list.includes("cairn:///user%3Aalice"))
        throw new Error(`the list: ${list}`);
    },
    notified: () => {
      throw new NotInClient("offers its model no subscriptions");
    },
    wait: () => {
      if (!result("wait").includes("matrix/wait")) throw new Error(`the wait returned ${result("wait")}`);
    },
    cancel: () => {
      throw new NotInClient("a person cancels, not the model");
    },
    restart: () => {
      if (!result("restarted").includes(DIGITS)) throw new Error(`after the restart: ${result("restarted")}`);
    },
  };
  const visit = (name: keyof typeof VISITS) => () => makeVisit(agent, folder, node, name);
  const all = { ...runs, memory: visit("memory"), collaboration: visit("collaboration"), openai: visit("openai") };
  const outcomes: Outcome[] = [];
  for (const check of CHECK_NAMES) outcomes.push(await outcomeOf(check, async () => await all[check]()));
  return outcomes;
}

/** Runs the agent once more, with the address of a preset, and a script that makes its steps. */
async function makeVisit(agent: Agent, folder: string, node: DevNode, name: keyof typeof VISITS): Promise<void> {
  const { preset, steps, absent, judge } = await VISITS[name](node);
  const loaded = steps.map(({ tool }) => `mcp__cairn__${tool}`);
  const turns = steps.map((step) => ({ tool: new RegExp(`(^|cairn.*)${step.tool}$`), arguments: step.arguments }));
  await using model = new ScriptedModel([searchFor(loaded), ...turns]);
  const ended = await run(agent, folder, `${node.url}/mcp/${preset}`, model.url);
  if ([...model.tools].some((one) => one.endsWith(absent))) throw new Error(`${absent} is offered to the model`);
  const shown = steps.map(({ tool }, at) => {
    const text = model.shown[at + 1];
    if (text === undefined) throw new Error(`the model was shown no result of ${tool}: ${ended}`);
    return text.replaceAll("\\", "");
  });
  await judge(shown);
}

/** A turn that loads tools, for agents that do so on demand. */
function searchFor(tools: readonly string[]): Turn {
  return {
    tool: /^tool_?search$/i,
    arguments: { query: `select:${tools.join(",")}`, max_results: tools.length },
  };
}

/** The script. */
function stepsFor(node: DevNode, serverArgument = "server"): Record<Step, Turn> {
  const put = (id: string, content: string) => ({ id, content, content_type: "text/plain" });
  return {
    search: searchFor(LOADED),
    put: { tool: /context_put$/, arguments: put(AWKWARD_ID, JSON_TEXT) },
    digits: { tool: /context_put$/, arguments: put("matrix/digits", DIGITS) },
    get: { tool: /context_get$/, arguments: { id: "matrix/digits" } },
    long: { tool: /context_get$/, arguments: { id: "matrix/long" } },
    missing: { tool: /context_get$/, arguments: { id: "matrix/missing" } },
    list: { tool: /list_?mcp_?resources(_?tool)?$/i, arguments: { server: "cairn" } },
    read: {
      tool: /read_?mcp_?resource(_?tool)?$/i,
      arguments: { [serverArgument]: "cairn", uri: "cairn:///user:alice/notes" },
    },
    wait: {
      tool: /context_wait$/,
      arguments: { id: "matrix/wait", timeout_seconds: 30 },
      async during() {
        const before = await streamsOf(node);
        await eventually("the wait to arrive", async () => (await streamsOf(node)) > before).catch(() => {});
        await writeText(node, "matrix/wait", "now");
      },
    },
    restarted: { tool: /context_get$/, arguments: { id: "matrix/digits" }, before: () => node.restart() },
  };
}

/** Runs it in a new home until it ends. Returns the last line that it printed, with its exit code. */
async function run({ words, env, files }: Agent, folder: string, node: string, model: string): Promise<string> {
  const home = mkdtempSync(join(tmpdir(), "cairn-agent-"));
  try {
    for (const [path, text] of Object.entries(files?.(node, model) ?? {})) {
      mkdirSync(dirname(join(home, path)), { recursive: true });
      writeFileSync(join(home, path), text);
    }
    const child = Bun.spawn({
      cmd: ["bash", "-c", 'exec "$0" "$@"', ...words],
      cwd: home,
      env: { PATH: pathOf(folder), HOME: home, NO_COLOR: "1", NO_PROXY: "127.0.0.1", ...env?.(model) },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: RUN_MS,
    });
    const { out, err, code } = await finished(child);
    if (process.env["CAIRN_CLIENTS_SHOW"]) console.error(`${out}\n${err}`);
    return `exit ${code}: ${lastLine(err.trim() === "" ? out : err)}`;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}
