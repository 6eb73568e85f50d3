// docs/routes.md: every HTTP route, from the table of REST routes, the MCP endpoint and the list of pages.

import { describeRow, errorsOf, type Row, routesOf } from "../src/api/index.ts";
import { typeOf } from "../src/lib/json-type.ts";
import { mcpRoutes } from "../src/mcp/index.ts";
import type { Operation } from "../src/operation/define.ts";
import { operationsOf } from "../src/operation/derive.ts";
import type { Feature } from "../src/operation/feature.ts";
import { pageRoutes } from "../src/web/index.ts";
import { code, table } from "./markdown.ts";
import { filesOf, generatedFrom } from "./page-sources.ts";

type Json = Record<string, unknown>;

/** Paths that end with `/` stand for every one below, but for those of the overview. */
const isWhole = (path: string) => !path.endsWith("/") || path === "/" || path === "/ui/";

/** Returns the page. */
export function routesPage(features: readonly Feature[]): string {
  const routes = routesOf(features);
  const operations = operationsOf(features);
  const overview = routes.map((row) => [
    `[\`${row.method} ${row.path}\`](#${row.operationId.toLowerCase()})`,
    row.summary,
    rightOf(row, operations),
  ]);
  return [
    "# Routes",
    "",
    generatedFrom([
      "src/api/node-routes.ts",
      "src/mcp/route.ts",
      "src/operation/presets.ts",
      ...filesOf(features, "preset"),
      "src/web/site.ts",
      ...filesOf(features, "rest"),
      ...filesOf(features, "pages"),
    ]),
    "The listeners of a node dispatch by the same rows; `/openapi.json` of a node describes those of REST for programs.",
    "Members of a fleet call each other by `POST /peer/…` on a port of its own (`src/peer/DESIGN.md`).",
    "",
    "- `HEAD` works where `GET` does. `OPTIONS` of REST names the methods in `Allow`; another method is 405.",
    "- `{id}` may contain `/`, plain or percent-encoded, and is decoded once.",
    "- Unknown query parameters, and conditional headers that a write does not judge, are 400.",
    "- Errors are problem documents (RFC 9457); [commands.md](commands.md#errors) has the codes of each status.",
    "- **Right.** With *some space* a grant for any space is enough, and the response shows only what such grants allow.",
    "",
    table(["Route of REST", "What it does", "Right"], overview),
    "",
    table(
      ["Route of MCP, pages and services", "What it does", "Right"],
      [...mcpRoutes(features), ...pageRoutes(features), ...features.flatMap(({ served }) => served?.route ?? [])].map(
        ({ methods, path, summary, right }) => [
          code(`${methods.join(", ")} ${isWhole(path) ? path : `${path}…`}`),
          summary,
          right,
        ],
      ),
    ),
    "",
    "Each page is JSON too, under the same address and with the same rights: with `?format=json`, or where the client accepts",
    "`application/json` more than `text/html`. The members are `page`, `title`, `live` (the address of its stream) and `asked`:",
    "what the page asked, each with `operation`, `input` and `output`, or `error` (a problem document).",
    "",
    MCP_BY_CURL,
    "",
    ...routes.flatMap((row) => section(row, operations)),
  ].join("\n");
}

/** Run by test/system/routes-curl.test.ts as it is printed. */
const MCP_BY_CURL = `## MCP by curl

Revision 2026-07-28 has no sessions: one request is a whole call. Its headers name revision, method and tool as its
body does (for \`resources/read\` and \`prompts/get\` the URI or name); without \`_meta\` it is refused.

\`\`\`sh
export CAIRN_URL=http://127.0.0.1:8470    # of npm start and cairn dev; http://cairn on your tailnet
curl -sS $CAIRN_URL/mcp -H 'Content-Type: application/json' \\
  -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' -H 'Mcp-Name: context_list' \\
  -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"context_list","arguments":{"limit":20},
    "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}'
\`\`\`

The revisions before it begin with \`initialize\`, whose response has the session's id in the header
\`Mcp-Session-Id\`. The calls after it carry that id, and \`DELETE\` ends the session.

\`\`\`sh
session=$(curl -sS -o /dev/null -w '%header{mcp-session-id}' $CAIRN_URL/mcp -H 'Content-Type: application/json' \\
  -H 'Accept: application/json, text/event-stream' \\
  -d '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25",
    "capabilities":{},"clientInfo":{"name":"curl","version":"1"}}}')
curl -sS $CAIRN_URL/mcp -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \\
  -H "Mcp-Session-Id: $session" -d '{"jsonrpc":"2.0","method":"notifications/initialized"}'
curl -sS $CAIRN_URL/mcp -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \\
  -H "Mcp-Session-Id: $session" -H 'MCP-Protocol-Version: 2025-11-25' \\
  -d '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"context_list","arguments":{"limit":20}}}'
curl -sS -X DELETE $CAIRN_URL/mcp -H "Mcp-Session-Id: $session"
\`\`\`

The preset is part of the address: \`$CAIRN_URL/mcp?preset=core\`. A response that takes longer, such as that of
\`context_wait\`, may come as \`text/event-stream\`: its last \`data:\` line has the result.`;

function section(row: Row, operations: readonly Operation[]): string[] {
  const item = describeRow(row);
  const parameters = (item["parameters"] ?? []) as Json[];
  const query = parameters.filter((one) => one["in"] === "query");
  const headers = parameters.filter((one) => one["in"] === "header").map((one) => code(String(one["name"])));
  const body = Object.keys(((item["requestBody"] as Json | undefined)?.["content"] ?? {}) as Json).map(code);
  const errors = errorsOf(row);
  const facts = [
    `- Right: ${rightOf(row, operations)}.`,
    ...("operation" in row ? [`- Operation: [\`${row.operation}\`](operations.md#${row.operation}).`] : []),
    ...(headers.length === 0 ? [] : [`- Headers: ${headers.join(", ")}.`]),
    ...(body.length === 0 ? [] : [`- Body: ${body.join(", ")}.`]),
    ...responseLines((item["responses"] ?? {}) as Record<string, Json>),
    ...(errors.length === 0 ? [] : [`- Errors: ${[...new Set(errors)].sort().join(", ")}.`]),
  ];
  return [
    `## ${row.operationId}`,
    "",
    `\`${row.method} ${row.path}\` — ${row.summary}.`,
    "",
    ...facts,
    "",
    ...(query.length === 0 ? [] : [table(["Query", "Type", "Required", "Description"], query.map(queryRow)), ""]),
  ];
}

function queryRow(parameter: Json): string[] {
  return [
    code(String(parameter["name"])),
    typeOf(parameter["schema"] as Json),
    parameter["required"] === true ? "yes" : "",
    String(parameter["description"] ?? ""),
  ];
}

/** Problems have no description of their own. */
function responseLines(responses: Record<string, Json>): string[] {
  return Object.entries(responses)
    .filter(([, response]) => response["description"] !== undefined)
    .map(([status, { description, headers = {} }]) => {
      const names = Object.keys(headers as Json).map(code);
      return `- ${status}: ${description}${names.length === 0 ? "" : `, with ${names.join(", ")}`}.`;
    });
}

function rightOf(row: Row, operations: readonly Operation[]): string {
  if ("right" in row) return row.right;
  const operation = operations.find(({ name }) => name === row.operation);
  if (operation === undefined) throw new Error(`${row.operationId} calls ${row.operation}, which is no operation`);
  const { verb, spaces } = operation.access;
  const id = Object.keys(row.params ?? {}).find((name) => row.params?.[name]?.kind === "wide");
  const touched = typeof spaces === "function" ? spaces(id === undefined ? {} : { [id]: "x/y" }) : spaces;
  const named = id === undefined ? "the space that the call names" : `the space of \`{${id}}\``;
  const where = touched === "visible" ? "some space" : named;
  return `\`${verb}\` in ${where}`;
}
