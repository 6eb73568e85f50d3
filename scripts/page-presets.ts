// docs/presets.md: the presets of MCP, and what each costs a model in tokens before it does anything.

import type { Caller } from "../src/access/caller.ts";
import { type Grant, Rights } from "../src/access/rights.ts";
import { type PresetCost, presetCosts } from "../src/mcp/index.ts";
import type { Feature } from "../src/operation/feature.ts";
import { code, table } from "./markdown.ts";
import { filesOf, generatedFrom } from "./page-sources.ts";

/** o200k_base has 4.2 characters of a list of tools in a token, cl100k_base as many. */
const CHARS_PER_TOKEN = 4;

const GRANT: Grant = { role: "member", spaces: ["*"], tools: undefined, requestsPerMinute: undefined };
/** For the length of the instructions, which name the caller. */
const CALLER: Caller = {
  ...{ kind: "user", id: "nABCDEF123CNTRL", node: "laptop.tail1234.ts.net", login: "ann@example.com" },
  ...{ tags: [], own: false, grants: [] },
};

/** Returns about how many tokens a value takes as JSON, or a text: at least as many as o200k_base counts. */
export function tokensOf(value: unknown): number {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return Math.ceil(text.length / CHARS_PER_TOKEN);
}

/** Returns the page. */
export function presetsPage(features: readonly Feature[]): string {
  const rights = new Rights([GRANT], []);
  const costs = presetCosts(features, CALLER, rights);
  const reading = presetCosts(features, CALLER, rights.readOnly());
  return [
    "# Presets of MCP",
    "",
    generatedFrom(["src/operation/presets.ts", ...filesOf(features, "preset")]),
    "",
    "A preset is what one address of MCP offers: its tools, prompts, resources and instructions. All of them work on the",
    "same contexts, sessions and memories, and none changes a right.",
    "",
    "- **By URL**: `/mcp/NAME` or `/mcp?preset=NAME`. `/mcp` alone is `all`, unless a grant says otherwise.",
    "- **`read-only`** goes with each of them, and alone with `all`: `/mcp?preset=read-only`, `/mcp/core?preset=read-only`,",
    "  `/mcp?preset=core,read-only`. The node then refuses every write of the connection, whatever its caller may do.",
    "- **On stdio**: `cairn bridge --preset core,read-only`.",
    '- **By grant**: `"preset": "core"` or `"core,read-only"` beside `role` and `spaces` is for connections whose URL names',
    "  none. The first grant that names one counts. A URL's preset wins, and gives no right beyond the grants.",
    "- Any other name is refused with the names that there are: 404 in the path, 400 in the query.",
    "",
    "**Tokens** are those of the list of tools as JSON, with all that it says of answers and annotations, for a member of all",
    `spaces: its characters divided by ${CHARS_PER_TOKEN}, which is a little more than o200k_base counts. **Shown** are those of`,
    "names, descriptions and arguments, which is what most clients pass on to their model; those that load tools on demand",
    "pass on fewer. Instructions come beside them.",
    "",
    table(
      ["Preset", "MCP with", "Tools", "Tokens", "Shown", "Read-only: tools", "Tokens", "Shown", "Instructions: tokens"],
      costs.map((cost, at) => [
        code(cost.preset.name),
        cost.preset.summary,
        ...counts(cost),
        ...counts(reading[at]),
        number(tokensOf(cost.instructions)),
      ]),
    ),
    "",
    "## Which one",
    "",
    ...whichOne(costs),
    "",
    ...costs.flatMap(({ preset, tools }) => [
      `## ${preset.name}`,
      "",
      `${tools.map(({ name }) => code(name)).join(", ")}.`,
      "",
    ]),
  ].join("\n");
}

/** Returns the advice, with what the address without a preset costs. */
function whichOne(costs: readonly PresetCost[]): string[] {
  const [tools, , shown] = counts(costs.find(({ preset }) => preset.name === "all"));
  return [
    `- \`/mcp\` alone offers all ${tools} tools: some ${shown} tokens of each conversation in a client that passes them all on. It is`,
    "  for clients that load tools on demand, such as Claude Code, and for programs.",
    "- For every other client take `core`: an agent that keeps and finds what it knows needs no more. Where agents work",
    "  together, add a second address for the rest, such as that of `memory`.",
    "- Clients of another server take the preset that has its tools. They run unchanged, and see nothing else.",
    "- Add `read-only` where an agent is to look and not to touch.",
  ];
}

function counts(cost: PresetCost | undefined): string[] {
  if (cost === undefined) return [];
  const shown = cost.tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema }));
  return [String(cost.tools.length), number(tokensOf(cost.tools)), number(tokensOf(shown))];
}

function number(value: number): string {
  return value.toLocaleString("en-US");
}
