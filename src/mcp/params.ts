// What the params of a request must have, said in words: the SDK refuses it in the terms of its schemas, which name
// neither the value that came nor an example.

import { isObject, memberOf } from "../lib/json-object.ts";
import { shownValue } from "../lib/schema-issue.ts";
import { refusal } from "./errors.ts";
import { methodOf } from "./request.ts";

/** What a method takes. */
interface Params {
  /** Members that must be text, by their path. */
  texts: readonly string[];
  /** Members that must be text where they are given. */
  optional?: readonly string[];
  example: Record<string, unknown>;
}

const LIST: Params = { texts: [], optional: ["cursor"], example: { cursor: "the nextCursor of the previous page" } };
const RESOURCE: Params = { texts: ["uri"], example: { uri: "a URI of resources/list" } };

const PARAMS = new Map<string, Params>([
  ["tools/call", { texts: ["name"], example: { name: "whoami", arguments: {} } }],
  ["prompts/get", { texts: ["name"], example: { name: "a name of prompts/list", arguments: {} } }],
  ["resources/read", RESOURCE],
  [
    "completion/complete",
    {
      texts: ["ref.type", "argument.name", "argument.value"],
      example: { ref: { type: "ref/prompt", name: "a name of prompts/list" }, argument: { name: "id", value: "te" } },
    },
  ],
  ["tools/list", LIST],
  ["prompts/list", LIST],
  ["resources/list", LIST],
  ["resources/templates/list", LIST],
]);

/** Methods that the newest revision does not have: it refuses them as unknown, whatever their params (SEP-2575). */
const OLDER = new Map<string, Params>([
  ["resources/subscribe", RESOURCE],
  ["resources/unsubscribe", RESOURCE],
]);

/**
 * Returns the response to a request whose params are not what its method takes; undefined where they may be.
 * `isOlder`: it is of a revision before 2026-07-28.
 */
export function refuseParams(body: unknown, isOlder: boolean): Response | undefined {
  const method = methodOf(body);
  const wanted = method === undefined ? undefined : (PARAMS.get(method) ?? (isOlder ? OLDER.get(method) : undefined));
  if (method === undefined || wanted === undefined || !isObject(body)) return undefined;
  const problem = problemOf(body["params"], wanted);
  if (problem === undefined) return undefined;
  const words = `${method}: ${problem}. For example: {"params":${JSON.stringify(wanted.example)}}`;
  return refusal(body, 200, -32602, words);
}

function problemOf(params: unknown, { texts, optional = [] }: Params): string | undefined {
  if (params !== undefined && !isObject(params)) return `params is ${shownValue(params)}, not an object`;
  for (const path of [...texts, ...optional]) {
    const found = path.split(".").reduce<unknown>(memberOf, params);
    if (typeof found === "string") continue;
    if (found !== undefined) return `params.${path} is ${shownValue(found)}, not text`;
    if (texts.includes(path)) return `params.${path} is missing`;
  }
  return undefined;
}
