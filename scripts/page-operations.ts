// docs/operations.md: every operation of the build, from its definition. The examples are run by
// test/system/openapi.test.ts.

import { operationErrors } from "../src/api/index.ts";
import { typeOf } from "../src/lib/json-type.ts";
import type { Operation } from "../src/operation/define.ts";
import { operationsOf } from "../src/operation/derive.ts";
import type { Feature } from "../src/operation/feature.ts";
import { COMMON_NAMES, commonInput, type Entry, Registry, writeInput } from "../src/operation/registry.ts";
import { code, table } from "./markdown.ts";
import { FieldTables } from "./page-fields.ts";
import { filesOf, generatedFrom } from "./page-sources.ts";

type Json = Record<string, unknown>;

/** Returns the page. */
export function operationsPage(all: readonly Feature[]): string {
  const features = all
    .map((feature) => ({ feature, entries: entriesOf(feature) }))
    .filter(({ entries }) => entries.length > 0);
  const overview = features.flatMap(({ entries }) =>
    entries.map(({ operation }) => [
      `[\`${operation.name}\`](#${operation.name})`,
      operation.kind,
      rightOf(operation),
      operation.title,
    ]),
  );
  const inside = new FieldTables();
  return [
    "# Operations",
    "",
    generatedFrom(["src/operation/registry.ts", ...filesOf(all, "operations")]),
    "",
    "The definitions themselves (`read`, `write`, `act` and `macro`) are in the files beside a manifest. Every operation is",
    "`POST /operations/{name}`, `cairn call NAME JSON` and, where its section does not deny it, an MCP tool. Those with",
    "the verb `admin` are no tools, those with `operate` only for callers whose grant names them. Routes shaped for HTTP are in [routes.md](routes.md), commands in",
    "[commands.md](commands.md).",
    "",
    "- **Kind.** `read` responds from the store and changes nothing. `write` becomes a command of the log. `act` has its",
    "  effect on the asked node only.",
    "- **Right.** A verb and where it is needed, for the arguments of the example: in a space, or in some space. With",
    "  *some space* a grant for any space is enough, and the response shows only what such grants allow.",
    "- **Errors.** The HTTP statuses; [commands.md](commands.md#errors) has the codes of each.",
    "",
    table(["Operation", "Kind", "Right", "What it does"], overview),
    "",
    "## Common arguments",
    "",
    "Every operation takes these too; over HTTP they may be headers.",
    "",
    table(["Argument", "Of", "Description"], commonRows()),
    "",
    ...internalLines(all),
    ...features.flatMap(({ feature, entries }) => [
      `## Feature ${feature.name}`,
      "",
      ...entries.flatMap((entry) => section(entry, inside)),
    ]),
  ].join("\n");
}

/** The writes that nodes alone propose; nothing without any. */
function internalLines(features: readonly Feature[]): string[] {
  const writes = features.flatMap((feature) =>
    operationsOf([feature])
      .filter((operation) => operation.kind === "write" && operation.internal === true)
      .map(({ name, title, description }) => [code(name), feature.name, `**${title}.** ${description}`]),
  );
  if (writes.length === 0) return [];
  const head = "Commands of the log that nodes propose by themselves (`internal`). No caller can name them.";
  return ["## Internal commands", "", head, "", table(["Command", "Feature", "What it does"], writes), ""];
}

/** Returns every operation that callers may name, also those that a node offers only with some setting. */
function entriesOf(feature: Feature): readonly Described[] {
  const operations = operationsOf([feature]);
  const registry = new Registry(operations.map((operation): Operation => ({ ...operation, offered: () => true })));
  const optional = new Set(operations.filter(({ offered }) => offered !== undefined).map(({ name }) => name));
  return registry.list().map(({ operation, inputSchema }) => ({
    ...{ operation, inputSchema },
    isOptional: optional.has(operation.name),
  }));
}

interface Described extends Pick<Entry, "operation" | "inputSchema"> {
  /** Whether a node may not offer it. */
  isOptional: boolean;
}

function section({ operation, inputSchema, isOptional }: Described, inside: FieldTables): string[] {
  const { name, title, description, kind, hints = {}, aliases = {}, example = {} } = operation;
  const facts = [
    `Kind: \`${kind}\`. Right: ${rightOf(operation)}. Errors: ${operationErrors(kind).join(", ")}.`,
    ...(hints.idempotent === true ? ["The same call twice has the effect of one."] : []),
    ...(operation.isTool === false ? ["No tool of MCP."] : []),
    ...(isOptional ? ["Nodes offer it only where their settings allow it."] : []),
    ...(hints.destructive === true ? ["It may remove or overwrite something for good."] : []),
  ];
  const own = ownArguments(inputSchema);
  const rows = argumentRows(own, inputSchema);
  const also = Object.entries(aliases).map(([alias, meant]) => `\`${alias}\` for \`${meant}\``);
  return [
    `### ${name}`,
    "",
    `**${title}.** ${description}`,
    "",
    facts.join(" "),
    "",
    ...(rows.length === 0
      ? ["No arguments of its own."]
      : [table(["Argument", "Type", "Required", "Description"], rows)]),
    "",
    ...own.flatMap(([argument, schema]) => inside.linesOf(name, argument, schema)),
    ...(also.length === 0 ? [] : [`Also accepted: ${also.join(", ")}.`, ""]),
    "```sh",
    shellCall(name, example),
    "```",
    "",
  ];
}

function shellCall(name: string, example: Json): string {
  if (Object.keys(example).length === 0) return `cairn call ${name}`;
  const line = JSON.stringify(example);
  const text = line.length <= 90 ? line : JSON.stringify(example, null, 2);
  return `cairn call ${name} '${text.replaceAll("'", "'\\''")}'`;
}

function ownArguments(schema: Json): [string, Json][] {
  return Object.entries((schema["properties"] ?? {}) as Record<string, Json>).filter(
    ([name]) => !COMMON_NAMES.includes(name),
  );
}

function argumentRows(own: readonly [string, Json][], schema: Json): string[][] {
  const required = (schema["required"] ?? []) as string[];
  return own.map(([name, property]) => [
    code(name),
    typeOf(property),
    required.includes(name) ? "yes" : "",
    String(property["description"] ?? ""),
  ]);
}

function commonRows(): string[][] {
  const rows = (shape: Readonly<Record<string, { description?: string | undefined }>>, of: string) =>
    Object.entries(shape).map(([name, { description = "" }]) => [code(name), of, description]);
  return [...rows(commonInput.shape, "all"), ...rows(writeInput.shape, "writes")];
}

/** Returns the right that the call of the example needs. */
function rightOf({ access, input, example = {} }: Operation): string {
  const spaces = typeof access.spaces === "function" ? access.spaces(input.parse(example)) : access.spaces;
  const where = spaces === "visible" ? "some space" : spaces.map(code).join(", ");
  return `\`${access.verb}\` in ${where}`;
}
