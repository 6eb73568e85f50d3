// declaration_list and declaration_kinds: what is declared, what of it is in force, and how it is written.

import { z } from "zod";
import { Fault } from "../../lib/fault.ts";
import { parseObject } from "../../lib/json-object.ts";
import { timeOf } from "../../lib/time-of.ts";
import { SHOW_ROW } from "../../lib/work.ts";
import { DECLARED_KINDS, type DeclaredKind } from "../../operation/declared-kind.ts";
import { DECLARE_LEVEL, declaredRows } from "../../operation/declared-rows.ts";
import { read } from "../../operation/define.ts";
import type { Services } from "../../operation/services.ts";
import { refuseBelowLevel } from "../../operation/versions.ts";
import { declaredBy } from "./judge.ts";

/** Units of work for showing a byte of a declaration. */
const SHOW_BYTE = 4;

/** Schema of the argument that names a kind. */
export const kindArgument = z
  .string()
  .regex(/^[a-z][a-z_]{0,31}$/, "one word of small letters, such as probe")
  .describe("Kind of declarations, such as probe; declaration_kinds lists them.");

const shown = z.object({
  kind: z.string(),
  name: z.string(),
  id: z.string().describe("The context that declares it."),
  in_force: z.number().int().optional().describe("Version of the context that is in force; absent: none."),
  since: z.string().optional().describe("When that came into force."),
  declared: z.record(z.string(), z.unknown()).optional().describe("What that version says."),
  newest: z.number().int().describe("The newest version that was judged."),
  problem: z.string().optional().describe("Why the newest version is not in force."),
});

/** Returns the kinds of a node. */
export function kindsOf(node: Services): readonly DeclaredKind[] {
  return node.find(DECLARED_KINDS) ?? [];
}

/** Returns the kind of that name. Throws Fault `invalid_input`. */
export function requireKind(kinds: readonly DeclaredKind[], name: string): DeclaredKind {
  const kind = kinds.find((each) => each.kind === name);
  if (kind !== undefined) return kind;
  const all = kinds.map((each) => each.kind).join(", ");
  throw new Fault("invalid_input", `There is no kind of declarations ${JSON.stringify(name)}`, {
    hint: `Kinds are ${all}.`,
    details: { field: "kind" },
  });
}

/** Lists declarations. */
export const declarationList = (node: Services) =>
  read({
    name: "declaration_list",
    title: "List declarations",
    search: "what the fleet is told to do, declared probes, desired state, which version is in force",
    description:
      "Lists what is declared in the space fleet (such as probes) with the version that is in force, and why a newer one is not: a wrong version leaves the last good one in force.",
    input: z.object({ kind: kindArgument.optional() }),
    samples: { kind: "probe" },
    output: z.object({ declarations: z.array(shown) }),
    access: { verb: "read", spaces: ["fleet"] },
    run(reader, { kind: wanted }, { spend }) {
      refuseBelowLevel(reader, DECLARE_LEVEL, "declaration_list");
      const kinds = kindsOf(node);
      const only = wanted === undefined ? undefined : requireKind(kinds, wanted);
      const declarations = declaredRows(reader).flatMap((row) => {
        const { kind, name } = declaredBy(kinds, row.id) ?? {};
        if (kind === undefined || name === undefined || (only !== undefined && kind !== only)) return [];
        spend(SHOW_ROW + SHOW_BYTE * row.text.length);
        const { id, version, since, judged, problem, text } = row;
        const good = { in_force: version, since: timeOf(since), declared: parseObject(text) ?? {} };
        const why = problem === "" ? {} : { problem };
        return [{ kind: kind.kind, name, id, ...(version === 0 ? {} : good), newest: judged, ...why }];
      });
      return { declarations };
    },
  });

/** Shows how declarations are written. */
export const declarationKinds = (node: Services) =>
  read({
    name: "declaration_kinds",
    title: "Kinds of declarations",
    search: "how to write a probe, schema of declarations, example",
    description:
      "Returns the kinds of declarations, with the place of their contexts, the JSON Schema and an example. One is made by writing a JSON object to fleet/PLACE/NAME with context_put, or from files with `cairn apply`.",
    input: z.object({ kind: kindArgument.optional() }),
    samples: { kind: "probe" },
    output: z.object({
      kinds: z.array(
        z.object({
          kind: z.string(),
          place: z.string(),
          summary: z.string(),
          schema: z.record(z.string(), z.unknown()),
          example: z.record(z.string(), z.unknown()),
        }),
      ),
    }),
    access: { verb: "read", spaces: ["fleet"] },
    local: true,
    run(_reader, { kind: wanted }) {
      const kinds = kindsOf(node);
      const only = wanted === undefined ? kinds : [requireKind(kinds, wanted)];
      return {
        kinds: only.map(({ kind, place, summary, schema, example }) => ({
          ...{ kind, place: `fleet/${place}/NAME`, summary, example },
          schema: jsonSchemaOf(schema),
        })),
      };
    },
  });

/** Returns the names of the fields that a declaration of a kind may have. */
export function fieldsOf({ schema }: DeclaredKind): string[] {
  return Object.keys((jsonSchemaOf(schema)["properties"] ?? {}) as Record<string, unknown>);
}

function jsonSchemaOf(schema: DeclaredKind["schema"]): Record<string, unknown> {
  return z.toJSONSchema(schema, { io: "input" }) as Record<string, unknown>;
}
