// declaration_plan and declaration_apply: compare wanted declarations with the contexts that are there. The second
// writes what differs, with the etags that the plan has seen.

import { z } from "zod";
import { counted } from "../../lib/counted.ts";
import { Fault } from "../../lib/fault.ts";
import { parseObject } from "../../lib/json-object.ts";
import { jsonEqual } from "../../lib/json-value.ts";
import { printableLine } from "../../lib/printable.ts";
import { diffText } from "../../lib/text-diff.ts";
import { type DeclaredKind, declaredId } from "../../operation/declared-kind.ts";
import { type MacroSteps, macro } from "../../operation/define.ts";
import type { Services } from "../../operation/services.ts";
import { judgeText } from "./judge.ts";
import { fieldsOf, kindArgument, kindsOf, requireKind } from "./list.ts";

/** Most declarations of one call. */
export const MAX_APPLIED = 500;
/** Writes of one call of context_many. */
const MAX_WRITES = 64;
/** Ids of one call of context_get_many. */
const MAX_IDS = 256;
const MAX_NAMED = 20;
const ACTIONS = ["create", "change", "unchanged", "remove"] as const;

const wanted = z.strictObject({
  kind: kindArgument,
  name: z.string().min(1).max(64),
  declared: z.record(z.string(), z.unknown()).describe("What the context is to say."),
  source: z.string().max(200).optional().describe("Where this is from, such as a file: a refusal names it."),
});

const step = z.object({
  kind: z.string(),
  name: z.string(),
  id: z.string(),
  action: z.enum(ACTIONS),
  etag: z.string().optional().describe("Of the version that is there; absent where there is none."),
  diff: z.string().optional().describe("What changes, as a unified diff of the JSON."),
});
type Step = z.output<typeof step>;
type Wanted = z.output<typeof wanted>;

/** A context as it is. */
interface Found {
  id: string;
  etag: string;
  content: string;
}

const declarations = z.array(wanted).min(1).max(MAX_APPLIED).describe("What is to be declared.");
const prune = z
  .boolean()
  .optional()
  .describe("true: what is declared of the given kinds and not among these is to be removed.");
const pruneMost = z
  .boolean()
  .optional()
  .describe("true: with prune, more than half of what is declared of a kind may be removed.");
const EXAMPLE = [
  { kind: "probe", name: "website", declared: { type: "http", target: "https://example.com/", interval: 60 } },
];
const MAX_INPUT_BYTES = 4 * 1024 * 1024;

/** Shows what applying declarations would do. */
export const declarationPlan = (node: Services) =>
  macro({
    name: "declaration_plan",
    title: "Plan declarations",
    search: "dry run, diff of desired state, what would change, drift",
    description:
      "Shows what declaration_apply would create, change (with a diff) or remove in the space fleet, and what is so already. Wrong declarations are refused, all of them named. The step is context_get_many.",
    input: z.object({ declarations, prune }),
    example: { declarations: EXAMPLE },
    samples: { prune: true },
    maxInputBytes: MAX_INPUT_BYTES,
    output: z.object({ differs: z.boolean().describe("false: there is nothing to do."), steps: z.array(step) }),
    access: { verb: "read", spaces: ["fleet"] },
    async run(input, steps) {
      const planned = await plan(kindsOf(node), input, steps);
      const shown = planned.map((each) => each.step);
      return { differs: shown.some(({ action }) => action !== "unchanged"), steps: shown };
    },
  });

/** Applies declarations. */
export const declarationApply = (node: Services) =>
  macro({
    name: "declaration_apply",
    title: "Apply declarations",
    search: "apply a file, desired state, create or change probes",
    description:
      "Makes the declarations of the space fleet what you give, up to 64 writes all or none. Ask declaration_plan first, and give its steps as expect, so that nothing written meanwhile is overwritten. prune that would remove more than half of a kind is refused without prune_most: the list may be cut. Wrong ones are refused, all of them named, and nothing is written. What operations have written, such as the artifact of a deploy, stays where it is left out. The steps are context_get_many and context_many.",
    input: z.object({
      declarations,
      prune,
      prune_most: pruneMost,
      expect: z
        .array(z.object({ id: z.string().max(512), etag: z.string().max(200).optional() }))
        .max(5 * MAX_APPLIED)
        .optional()
        .describe("The steps of a plan: refused where one is not as the plan saw it."),
    }),
    example: { declarations: EXAMPLE },
    samples: { prune: false, prune_most: false, expect: [{ id: "fleet/probes/website" }] },
    maxInputBytes: MAX_INPUT_BYTES,
    output: z.object({ applied: z.boolean().describe("false: nothing differs."), steps: z.array(step) }),
    access: { verb: "write", spaces: ["fleet"] },
    hints: { destructive: true, idempotent: true },
    async run(input, steps) {
      const planned = await plan(kindsOf(node), input, steps);
      if (input.expect !== undefined) refuseOther(planned, input.expect);
      if (input.prune_most !== true) refuseMost(planned);
      const writes = planned.flatMap(({ step: each, content }) => writeOf(each, content));
      for (let at = 0; at < writes.length; at += MAX_WRITES)
        await steps.ask("context_many", { writes: writes.slice(at, at + MAX_WRITES) });
      return { applied: writes.length > 0, steps: planned.map((each) => each.step) };
    },
  });

function plan(
  kinds: readonly DeclaredKind[],
  { declarations: all, prune: prunes = false }: { declarations: readonly Wanted[]; prune?: boolean | undefined },
  steps: MacroSteps,
): Promise<{ step: Step; content: string }[]> {
  refuseWrong(kinds, all);
  return planOf(kinds, all, prunes, steps);
}

/** Throws Fault `invalid_input` with every problem of the declarations. */
function refuseWrong(kinds: readonly DeclaredKind[], all: readonly Wanted[]): void {
  const seen = new Set<string>();
  const problems = all.flatMap(({ kind: word, name, declared, source = "" }, index) => {
    const kind = requireKind(kinds, word);
    const judged = judgeText(kind, name, textOf(declared));
    const id = declaredId(kind, name);
    const twice = seen.has(id) ? ["it is there twice"] : [];
    seen.add(id);
    const found = [...("problem" in judged ? [judged.problem] : []), ...twice];
    const from = source === "" ? "" : ` (${printableLine(source)})`;
    return found.map((problem) => ({ index, kind, text: `${word} ${name}${from}: ${problem}` }));
  });
  const [first] = problems;
  if (first === undefined) return;
  const named = problems.slice(0, MAX_NAMED).map(({ text }) => text);
  const more = problems.length > MAX_NAMED ? ` (and ${problems.length - MAX_NAMED} more)` : "";
  throw new Fault("invalid_input", `${named.join("; ")}${more}`, {
    hint: `Nothing was written. Fields of the kind ${first.kind.kind}: ${fieldsOf(first.kind).join(", ")}. \`cairn call declaration_kinds '{"kind":"${first.kind.kind}"}'\` shows how they are written.`,
    details: { field: `declarations.${first.index}` },
  });
}

async function planOf(
  kinds: readonly DeclaredKind[],
  all: readonly Wanted[],
  prunes: boolean,
  steps: MacroSteps,
): Promise<{ step: Step; content: string }[]> {
  const given = all.map((each) => ({ ...each, id: declaredId(requireKind(kinds, each.kind), each.name) }));
  const used = kinds.filter(({ kind }) => all.some((each) => each.kind === kind));
  const found = new Map<string, Found>();
  for (const query of prunes ? used.map(({ place }) => ({ prefix: `fleet/${place}/` })) : idQueries(given))
    for await (const each of pages(query, steps)) found.set(each.id, each);
  const merged = given.map((each) => ({ ...each, declared: withOperated(kinds, each, found.get(each.id)) }));
  refuseWrong(kinds, merged);
  const kept = await Promise.all(
    merged.map(async ({ kind, name, id, declared }) => {
      const content = textOf(declared);
      return { step: await stepOf({ kind, name, id }, found.get(id), declared, content), content };
    }),
  );
  const ids = new Set(given.map(({ id }) => id));
  const others = prunes ? [...found.values()].filter(({ id }) => !ids.has(id)) : [];
  const removed = others.map(({ id, etag }) => {
    const kind = used.find(({ place }) => id.startsWith(`fleet/${place}/`))?.kind ?? "";
    return { step: { kind, name: id.split("/").slice(2).join("/"), id, action: "remove" as const, etag }, content: "" };
  });
  return [...kept, ...removed];
}

/** Returns a declaration with the fields that operations have written, where it does not say them itself. */
function withOperated(
  kinds: readonly DeclaredKind[],
  { kind, declared }: Wanted,
  found: Found | undefined,
): Record<string, unknown> {
  const before = (found && parseObject(found.content)) ?? {};
  const { operated = [] } = requireKind(kinds, kind);
  const names = operated.filter((name) => before[name] !== undefined && !Object.hasOwn(declared, name));
  return { ...declared, ...Object.fromEntries(names.map((name) => [name, before[name]])) };
}

async function stepOf(
  which: Pick<Step, "kind" | "name" | "id">,
  found: Found | undefined,
  declared: Record<string, unknown>,
  content: string,
): Promise<Step> {
  if (found === undefined) return { ...which, action: "create" };
  const before = parseObject(found.content);
  const { etag } = found;
  if (before !== undefined && jsonEqual(before, declared)) return { ...which, action: "unchanged", etag };
  const shown = before === undefined ? found.content : `${JSON.stringify(before, null, 2)}\n`;
  return { ...which, action: "change", etag, diff: (await diffText(shown, content)).text };
}

/** Returns the text of the context of a declaration. */
function textOf(declared: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify(declared, null, 2)}\n`;
}

function idQueries(given: readonly { id: string }[]): Record<string, unknown>[] {
  const ids = given.map(({ id }) => id);
  return Array.from({ length: Math.ceil(ids.length / MAX_IDS) }, (_, at) => ({
    ids: ids.slice(at * MAX_IDS, (at + 1) * MAX_IDS),
  }));
}

async function* pages(query: Record<string, unknown>, { ask }: MacroSteps): AsyncGenerator<Found> {
  let cursor: unknown;
  do {
    const page = await ask("context_get_many", { ...query, ...(cursor === undefined ? {} : { cursor }) });
    yield* page["contexts"] as Found[];
    ({ cursor } = page);
  } while (cursor !== undefined);
}

/** Throws Fault `version_mismatch` where a step is not what the plan saw. */
function refuseOther(
  planned: readonly { step: Step }[],
  expect: readonly { id: string; etag?: string | undefined }[],
): void {
  const seen = new Map(expect.map(({ id, etag }) => [id, etag]));
  const other = planned.find(({ step: { id, etag } }) => !seen.has(id) || seen.get(id) !== etag);
  if (other === undefined) return;
  const { id, etag } = other.step;
  throw new Fault("version_mismatch", `${id} is not as the plan saw it: it is ${etag ?? "not there"} now`, {
    hint: "Nothing was written. Make the plan again.",
  });
}

/** Throws Fault `invalid_input` where more than half of a kind is to be removed: the list may be cut, or another. */
function refuseMost(planned: readonly { step: Step }[]): void {
  const there = planned.map(({ step: each }) => each).filter(({ action }) => action !== "create");
  for (const [kind, steps] of Map.groupBy(there, (each) => each.kind)) {
    const removed = steps.filter(({ action }) => action === "remove").length;
    if (2 * removed <= steps.length) continue;
    throw new Fault(
      "invalid_input",
      `prune would remove ${removed} of ${counted(steps.length, `${kind} declaration`)}`,
      {
        hint: "Nothing was written. See by declaration_plan whether the list is whole; give prune_most true if it is meant.",
        details: { field: "prune" },
      },
    );
  }
}

function writeOf({ id, action, etag }: Step, content: string): Record<string, unknown>[] {
  if (action === "unchanged") return [];
  if (action === "remove") return [{ operation: "context_delete", id, if_match: etag }];
  const condition = etag === undefined ? { if_none_match: "*" } : { if_match: etag };
  return [{ operation: "context_put", id, content, content_type: "application/json", ...condition }];
}
