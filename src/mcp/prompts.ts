// The prompts of the endpoint and the completion of their arguments. What they say of the store comes from operations, so that rights decide it.

import {
  type CompleteResult,
  type GetPromptResult,
  type Prompt,
  ProtocolError,
  ProtocolErrorCode,
} from "@modelcontextprotocol/server";
import { z } from "zod";
import type { Caller } from "../access/caller.ts";
import type { Rights } from "../access/rights.ts";
import { spaceOf } from "../access/space.ts";
import { idProblem } from "../features/context/index.ts";
import { Fault } from "../lib/fault.ts";
import { nearest } from "../lib/nearest.ts";
import type { Invoker } from "../operation/invoke.ts";
import { asProtocolError } from "./errors.ts";
import { handoffText } from "./handoff.ts";
import type { Resources } from "./resources.ts";
import type { Tools } from "./tools.ts";

type Given = Readonly<Record<string, string>>;

interface Definition {
  prompt: Prompt & { arguments: NonNullable<Prompt["arguments"]> };
  /** Tools without which it is of no use; it is offered to whom all of them are. */
  needs: readonly string[];
  /** Longest value of an argument in characters. */
  longest: Readonly<Record<string, number>>;
}

const DEFINITIONS: readonly Definition[] = [
  {
    prompt: {
      name: "handoff",
      title: "Hand work over",
      description: "Makes the agent write down where it stands, in a fixed shape, so that another one can go on.",
      arguments: [
        { name: "topic", description: "What the work is about, in a few words.", required: true },
        { name: "to", description: "Who should go on, if that is known." },
        { name: "notes", description: "What should be said in it." },
        { name: "space", description: "The space it is written to. Left out: one you may write to." },
        { name: "id", description: "A context that the work is about." },
      ],
    },
    needs: ["prime", "context_get", "context_put"],
    longest: { topic: 200, to: 200, notes: 4000, space: 256, id: 256 },
  },
  {
    prompt: {
      name: "prime",
      title: "What is here for you",
      description: "Tells the agent what the store holds for it and how to use it well.",
      arguments: [{ name: "space", description: "Only this space. Left out: all that you may read." }],
    },
    needs: ["prime"],
    longest: { space: 256 },
  },
];

const primed = z.looseObject({
  text: z.string().optional(),
  spaces: z.array(z.object({ space: z.string(), may_write: z.boolean() })),
  more_spaces: z.number(),
  recent: z.array(z.object({ id: z.string() })),
});
type Primed = z.output<typeof primed>;

/** The protocol allows no more values in one completion. */
const MAX_COMPLETIONS = 100;
/** Where the first handoff goes in a store without anything. */
const NEW_SPACE = "shared";

export class Prompts {
  readonly #invoker: Invoker;
  readonly #tools: Tools;
  readonly #resources: Resources;

  constructor(invoker: Invoker, tools: Tools, resources: Resources) {
    this.#invoker = invoker;
    this.#tools = tools;
    this.#resources = resources;
  }

  /** The prompts of a caller, sorted by name. */
  list(caller: Caller): Prompt[] {
    return this.#offered(caller).map(({ prompt }) => prompt);
  }

  async get(caller: Caller, name: string, given: Given, signal: AbortSignal): Promise<GetPromptResult> {
    const definition = this.#offered(caller).find(({ prompt }) => prompt.name === name);
    if (definition === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown prompt: ${name}`);
    try {
      check(definition, given);
      const text =
        name === "prime" ? await this.#prime(caller, given, signal) : await this.#handoff(caller, given, signal);
      const { description } = definition.prompt;
      return {
        ...(description === undefined ? {} : { description }),
        messages: [{ role: "user", content: { type: "text", text } }],
      };
    } catch (error) {
      throw asProtocolError(error);
    }
  }

  /** Values for an argument that start with what was typed: spaces the prompt can use, or ids. `others` are arguments that have values already. */
  async complete(
    caller: Caller,
    name: string,
    argument: { name: string; value: string },
    others: Given,
    signal: AbortSignal,
  ): Promise<CompleteResult> {
    const definition = this.#offered(caller).find(({ prompt }) => prompt.name === name);
    if (definition?.longest[argument.name] === undefined) return { completion: { values: [], hasMore: false } };
    if (argument.name === "id") {
      const typed = argument.value === "" && others["space"] !== undefined ? `${others["space"]}/` : argument.value;
      return this.#resources.complete(caller, typed, signal);
    }
    if (argument.name !== "space") return { completion: { values: [], hasMore: false } };
    try {
      const { spaces, more_spaces } = await this.#primed(caller, {}, signal);
      const usable = spaces.filter(({ may_write }) => name !== "handoff" || may_write).map(({ space }) => space);
      const values = usable.filter((space) => space.startsWith(argument.value)).slice(0, MAX_COMPLETIONS);
      return { completion: { values, hasMore: more_spaces > 0 } };
    } catch (error) {
      throw asProtocolError(error);
    }
  }

  #offered(caller: Caller): Definition[] {
    const tools = new Set(this.#tools.list(caller).map((tool) => tool.name));
    return DEFINITIONS.filter(({ needs }) => needs.every((name) => tools.has(name)));
  }

  async #prime(caller: Caller, { space }: Given, signal: AbortSignal): Promise<string> {
    const only = space === undefined || space === "" ? {} : { space };
    const { text } = await this.#primed(caller, { ...only, format: "text" }, signal);
    if (text === undefined) throw new Error("prime answered no text");
    return text;
  }

  async #handoff(caller: Caller, given: Given, signal: AbortSignal): Promise<string> {
    const [topic = "", to, notes, about, wanted] = ["topic", "to", "notes", "id", "space"].map((name) =>
      given[name] === "" ? undefined : given[name],
    );
    const problem = about === undefined ? undefined : idProblem(about);
    if (problem !== undefined) throw new Fault("invalid_input", `handoff: id: ${problem}`);
    const found = await this.#primed(caller, wanted === undefined ? {} : { space: wanted }, signal);
    const space = handoffSpace(found, wanted, this.#invoker.rights(caller));
    return handoffText({ space, topic, to, notes, about });
  }

  async #primed(caller: Caller, input: Record<string, unknown>, signal: AbortSignal): Promise<Primed> {
    const { output } = await this.#invoker.invoke({ operation: "prime", input, caller, signal, surface: "mcp" });
    return primed.parse(output);
  }
}

/** Where a handoff goes: where it was asked for, else where the caller's spaces changed last, else any place it may write to. */
function handoffSpace({ spaces, recent }: Primed, wanted: string | undefined, rights: Rights): string {
  const writable = spaces.filter(({ may_write }) => may_write).map(({ space }) => space);
  if (wanted !== undefined && !writable.includes(wanted)) {
    throw new Fault("forbidden", `You may not write in the space ${JSON.stringify(wanted)}`, {
      hint: "Leave the argument space out, or name one that whoami shows you as member of.",
    });
  }
  const lively = recent.map(({ id }) => spaceOf(id)).find((space) => writable.includes(space));
  const found = wanted ?? lively ?? writable[0];
  if (found !== undefined) return found;
  if (rights.mayUse({ verb: "write", operation: "context_put", space: NEW_SPACE })) return NEW_SPACE;
  throw new Fault("invalid_input", "handoff: space is missing, and nothing is stored yet where you may write", {
    hint: "Name a space; whoami says where you may write.",
  });
}

/** Refuses arguments that the prompt does not know, lacks, or that are too long. */
function check({ prompt, longest }: Definition, given: Given): void {
  for (const [name, value] of Object.entries(given)) {
    const max = Object.hasOwn(longest, name) ? longest[name] : undefined;
    if (max === undefined) {
      const near = nearest(name, Object.keys(longest));
      throw new Fault("invalid_input", `${prompt.name} has no argument ${JSON.stringify(name.slice(0, 80))}`, {
        hint: near === undefined ? `Known are: ${Object.keys(longest).join(", ")}.` : `Did you mean ${near}?`,
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
