// What an expression may contain, judged on its tree when it is saved. The library has no budget while an expression
// runs, so these rules and the bounds of the event (cel-event.ts) are what keeps an evaluation short: no RegExp, no
// macro within a macro, nothing long that is repeated for each item of a list, and no search for a text of the event.

import type { ASTNode } from "@marcbachmann/cel-js";
import type { EventSize } from "./cel-event.ts";

/** Most nodes of an expression, and macros in it. */
export const MAX_NODES = 200;
export const MAX_MACROS = 4;

const MACROS: ReadonlySet<string> = new Set(["all", "exists", "exists_one", "filter", "map"]);
const FUNCTIONS: ReadonlySet<string> = new Set(["has", "size", "int", "double", "string", "bool", "timestamp", "dyn"]);
const METHODS: ReadonlySet<string> = new Set([
  ...["size", "startsWith", "endsWith", "contains", "indexOf", "lastIndexOf", "substring"],
  ...["lowerAscii", "upperAscii", "trim", "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek"],
  ...["getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds"],
]);
/** Units of effort (effort.ts) for each character of a text: what looks at it, and what takes longer. */
const LOOK_AT_CHARACTER = 0.25;
const PER_CHARACTER: Readonly<Record<string, number>> = {
  ...{ size: 25, lastIndexOf: 80, indexOf: 2, contains: 2, upperAscii: 5, lowerAscii: 5 },
};
/** The same of a node of the expression, each time that it is evaluated, and of a value that is compared. */
const EVALUATE_NODE = 300;
const COMPARE_VALUE = 1000;
const COMPARISONS: ReadonlySet<string> = new Set(["==", "!=", "in"]);
/** The same of an item of a list that a sum copies. */
const COPY_ITEM = 5;
/** Their argument is written in the expression: the search for a long text in another takes long. */
const SEARCHES: ReadonlySet<string> = new Set(["contains", "indexOf", "lastIndexOf"]);
const ROOT = "event";

/** What tells how long an expression takes at most, with the size of an event. */
export interface ExpressionCost {
  nodes: number;
  macros: number;
  /** Nodes within macros, which are evaluated for each item, and their units for a character. */
  innerNodes: number;
  innerPerCharacter: number;
  /** Sums in it: a text that it makes is longer than those of the event by so many at most. */
  sums: number;
  /** Nodes that compare values of the event with each other. */
  comparisons: number;
  /** Units for a character of what all of its nodes look at. */
  perCharacter: number;
}

interface Walk extends ExpressionCost {
  usesData: boolean;
  /** The variable of the macro around, if any. */
  item?: string | undefined;
}

/** Returns whether an expression needs the data of an event, or a text that says why it is refused. */
export function judgeExpression(ast: ASTNode): { usesData: boolean; cost: ExpressionCost } | string {
  const none = { nodes: 0, macros: 0, innerNodes: 0, innerPerCharacter: 0, sums: 0, comparisons: 0, perCharacter: 0 };
  const walk: Walk = { ...none, usesData: false };
  const problem = problemOf(ast, walk);
  if (problem !== undefined) return problem;
  const { usesData, item: _, ...cost } = walk;
  return { usesData, cost };
}

/** Returns the most units of effort that an expression takes on an event of a size. */
export function unitsOf(cost: ExpressionCost, { values, items, characters, attribute }: EventSize): number {
  const evaluated = EVALUATE_NODE * (cost.nodes + items * cost.innerNodes);
  const compared = COMPARE_VALUE * cost.comparisons * values + COPY_ITEM * cost.sums * (cost.sums + 1) * items;
  const seen = cost.perCharacter * (characters + attribute) + cost.innerPerCharacter * items * attribute;
  return evaluated + compared + (cost.sums + 1) * seen;
}

function problemOf(node: ASTNode, walk: Walk): string | undefined {
  walk.nodes += 1;
  if (walk.nodes > MAX_NODES) return `has more than ${MAX_NODES} parts`;
  count(node, walk);
  switch (node.op) {
    case "value":
      return node.args instanceof Uint8Array ? "has bytes, which events do not have" : undefined;
    case "id":
      return nameProblem(node.args, walk);
    case ".":
      return accessProblem(node.args, walk);
    case "call":
      return callProblem(node.args, walk);
    case "rcall":
      return methodProblem(node.args, walk);
    case ".?":
    case "[?]":
      return "has an optional access, which is not known: use has()";
    default:
      return firstProblem(childrenOf(node.args), walk);
  }
}

function count({ op, args }: ASTNode, walk: Walk): void {
  if (op === "+") walk.sums += 1;
  if (COMPARISONS.has(op) && childrenOf(args).every((side) => side.op !== "value")) walk.comparisons += 1;
  // A sum of texts is put together where it is used.
  const isPlain = op === "value" || op === "id" || op === "." || op === "+";
  const name = op === "call" || op === "rcall" ? String(args[0]) : op;
  const perCharacter = isPlain ? 0 : (PER_CHARACTER[name] ?? LOOK_AT_CHARACTER);
  walk.perCharacter += perCharacter;
  if (walk.item === undefined) return;
  walk.innerNodes += 1;
  walk.innerPerCharacter += perCharacter;
}

function nameProblem(name: string, walk: Walk): string | undefined {
  if (name === walk.item) return undefined;
  if (name !== ROOT) return `has the name ${JSON.stringify(name)}; all of an event is under ${ROOT}, as in event.type`;
  walk.usesData = true;
  return walk.item === undefined ? undefined : `uses all of ${ROOT} for each item; use an attribute, as in event.type`;
}

function accessProblem([target, name]: [ASTNode, string], walk: Walk): string | undefined {
  if (target.op !== "id" || target.args !== ROOT || target.args === walk.item) return problemOf(target, walk);
  if (name !== "data") return undefined;
  walk.usesData = true;
  return walk.item === undefined ? undefined : "uses event.data for each item of a list, which takes long";
}

function callProblem([name, args]: [string, ASTNode[]], walk: Walk): string | undefined {
  if (!FUNCTIONS.has(name)) return unknownProblem(name, FUNCTIONS);
  return firstProblem(args, walk);
}

function methodProblem([name, receiver, args]: [string, ASTNode, ASTNode[]], walk: Walk): string | undefined {
  if (MACROS.has(name)) return macroProblem([name, receiver, args], walk);
  if (!METHODS.has(name)) return unknownProblem(name, METHODS);
  const [first] = args;
  if (SEARCHES.has(name) && first?.op !== "value") return `searches with ${name} for what is not written in it`;
  if (name.startsWith("get") && args.length > 0) return `has a time zone in ${name}; times are in UTC`;
  return firstProblem([receiver, ...args], walk);
}

function macroProblem([name, receiver, args]: [string, ASTNode, ASTNode[]], walk: Walk): string | undefined {
  walk.macros += 1;
  if (walk.item !== undefined) return `has ${name} within another macro`;
  if (walk.macros > MAX_MACROS) return `has more than ${MAX_MACROS} macros`;
  if (!isField(receiver)) return `has ${name} over what is no field, as event.data.items is`;
  const [variable, ...bodies] = args;
  if (variable?.op !== "id") return `has ${name} without a name for the item`;
  const outside = problemOf(receiver, walk);
  if (outside !== undefined) return outside;
  if (variable.args === ROOT) return `names an item ${ROOT}`;
  walk.item = variable.args;
  const inside = firstProblem(bodies, walk);
  walk.item = undefined;
  return inside;
}

/** Reports whether a node is an access to a field of the event by steps that are written in the expression. */
function isField(node: ASTNode): boolean {
  if (node.op === ".") return isRootOrField(node.args[0]);
  return node.op === "[]" && node.args[1].op === "value" && isRootOrField(node.args[0]);
}

function isRootOrField(node: ASTNode): boolean {
  return node.op === "id" ? node.args === ROOT : isField(node);
}

function unknownProblem(name: string, known: ReadonlySet<string>): string {
  if (name === "matches") return "has matches, which can take very long: use a condition with the operator regex";
  return `has ${name}(), which is not known here: known are ${[...known].join(", ")}`;
}

function firstProblem(nodes: readonly ASTNode[], walk: Walk): string | undefined {
  for (const node of nodes) {
    const problem = problemOf(node, walk);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Returns the nodes in the arguments of an operator: a node, a list of nodes, or of pairs of them. */
function childrenOf(args: unknown): ASTNode[] {
  if (Array.isArray(args)) return args.flatMap(childrenOf);
  return typeof args === "object" && args !== null && "op" in args ? [args as ASTNode] : [];
}
