// The prompts of all features and the completion of their arguments. What they say comes from operations that are asked
// as the caller, so rights decide it.

import {
  type CompleteResult,
  type GetPromptResult,
  type Prompt,
  ProtocolError,
  ProtocolErrorCode,
} from "@modelcontextprotocol/server";
import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import { isObject } from "../lib/json-object.ts";
import { nearest } from "../lib/nearest.ts";
import { shownValue } from "../lib/schema-issue.ts";
import type { Feature } from "../operation/feature.ts";
import type { Invoker } from "../operation/invoke.ts";
import type { FeaturePrompt, PromptArgument, PromptValues } from "../operation/mcp-parts.ts";
import { type Asking, ask } from "./ask.ts";
import { complete, noCompletion } from "./completion.ts";
import { asProtocolError } from "./errors.ts";
import { noTextsIn } from "./lenient-request.ts";
import type { Tools } from "./tools.ts";

export class Prompts {
  readonly #invoker: Invoker;
  readonly #tools: Tools;
  readonly #prompts: readonly FeaturePrompt[];

  constructor(invoker: Invoker, tools: Tools, features: readonly Feature[]) {
    this.#invoker = invoker;
    this.#tools = tools;
    this.#prompts = features.flatMap(({ prompts = [] }) => prompts).sort((a, b) => (a.name < b.name ? -1 : 1));
    if (new Set(this.#prompts.map(({ name }) => name)).size !== this.#prompts.length)
      throw new Error("two prompts have one name");
  }

  /** Returns the prompts of a caller, sorted by name. */
  list(caller: Caller): Prompt[] {
    return this.#offered(caller).map((prompt) => ({
      name: prompt.name,
      title: prompt.title,
      description: prompt.description,
      arguments: prompt.arguments.filter(({ unlisted }) => unlisted !== true).map(shownArgument),
    }));
  }

  /** Makes the text of a prompt. Rejects with a ProtocolError. */
  async get(asking: Asking, name: string, given: PromptValues): Promise<GetPromptResult> {
    const prompt = this.#find(asking.caller, name);
    if (prompt === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown prompt: ${name}`);
    try {
      check(prompt, given);
      const text = await prompt.text(given, {
        ask: (operation, input) => ask(this.#invoker, asking, operation, input),
        rights: this.#invoker.rights(asking.caller),
      });
      return {
        description: prompt.description,
        messages: [{ role: "user", content: { type: "text", text } }],
      };
    } catch (error) {
      throw asProtocolError(error);
    }
  }

  /** Returns values for an argument that start with what was typed. `others` are arguments that have values already. */
  async complete(
    asking: Asking,
    name: string,
    argument: { name: string; value: string },
    others: PromptValues,
  ): Promise<CompleteResult> {
    const prompt = this.#find(asking.caller, name);
    const completion = prompt?.arguments.find((one) => one.name === argument.name)?.complete;
    if (completion === undefined) return noCompletion();
    return complete(this.#invoker, asking, completion, { value: argument.value, others });
  }

  #find(caller: Caller, name: string): FeaturePrompt | undefined {
    return this.#offered(caller).find((prompt) => prompt.name === name);
  }

  #offered(caller: Caller): FeaturePrompt[] {
    const operations = this.#tools.operations(caller);
    return this.#prompts.filter(({ needs }) => needs.every((name) => operations.has(name)));
  }
}

/** The argument as clients see it. */
function shownArgument({ name, description, required }: PromptArgument) {
  return { name, description, ...(required === undefined ? {} : { required }) };
}

/** Throws Fault `invalid_input` for arguments that the prompt does not know, lacks, or that are too long. */
function check(prompt: FeaturePrompt, given: PromptValues): void {
  const wrong = noTextsIn(given);
  if (wrong !== undefined) throw noTexts(prompt, wrong.given);
  const known = prompt.arguments.map(({ name }) => name);
  for (const [name, value] of Object.entries(given)) {
    const max = prompt.arguments.find((argument) => argument.name === name)?.longest;
    if (max === undefined) {
      const near = nearest(name, known);
      throw new Fault("invalid_input", `${prompt.name} has no argument ${JSON.stringify(name.slice(0, 80))}`, {
        hint: near === undefined ? `Known are: ${known.join(", ")}.` : `Did you mean ${near}?`,
      });
    }
    if (value.length > max) {
      throw new Fault("invalid_input", `${prompt.name}: ${name} has ${value.length} characters; ${max} are allowed`);
    }
  }
  for (const { name, required } of prompt.arguments) {
    if (required === true && (given[name] ?? "") === "")
      throw new Fault("invalid_input", `${prompt.name}: ${name} is missing`);
  }
}

function noTexts({ name, arguments: known }: FeaturePrompt, given: unknown): Fault {
  const [argument = "", value] =
    Object.entries(isObject(given) ? given : {}).find(([, one]) => isObject(one) || Array.isArray(one)) ?? [];
  const what = isObject(given)
    ? `${name}: ${argument} is ${shownValue(value)}, not text`
    : `The arguments of ${name} are ${shownValue(given)}, not an object`;
  const example = Object.fromEntries(known.slice(0, 1).map((one) => [one.name, "…"]));
  return new Fault("invalid_input", what, { hint: `Send an object of texts, such as ${JSON.stringify(example)}.` });
}
