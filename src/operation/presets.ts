// The presets of a build: what each address of MCP offers. `all` and `core` are made of every feature's tools, others
// are declared in the manifest of a feature. A preset changes no rights.

import type { Operation } from "./define.ts";
import { operationsOf } from "./derive.ts";
import type { Feature } from "./feature.ts";
import type { FeatureInstructions } from "./mcp-parts.ts";

/** What `/mcp` offers where neither URL nor grant names a preset. */
export const ALL = "all";
const CORE = "core";
/** Not a list of tools: it makes a reader of the caller, with whatever list. */
export const READ_ONLY = "read-only";

const NAME = /^[a-z][a-z0-9-]{0,31}$/;

/** What one address offers. */
export interface Preset {
  name: string;
  /** What it offers, as the end of "MCP with …". */
  summary: string;
  /** Reports whether an operation is a tool of it. */
  has(operation: Operation): boolean;
  /** Features whose prompts and resources it offers. */
  features: readonly Feature[];
  instructions: readonly FeatureInstructions[];
  /** Arguments of its tools that its URL may give. */
  urlArguments?: readonly string[];
  /** Tools of it that do what operations do which are no tools of it, by the names of these. */
  instead?: Readonly<Record<string, string>>;
}

/** Returns the presets, `all` first. Throws an Error where two have one name, or a name cannot be in a URL. */
export function presetsOf(features: readonly Feature[]): readonly Preset[] {
  const apart = new Set(namesOf(features.filter((feature) => feature.apart === true)));
  const plain = features.filter((feature) => feature.apart !== true);
  const isPlain = ({ name }: Operation) => !apart.has(name);
  const isCore = (operation: Operation) => isPlain(operation) && operation.core !== undefined;
  const presets: Preset[] = [
    { ...partsWith(plain, isPlain), name: ALL, summary: "all tools but those of other servers", has: isPlain },
    { ...partsWith(plain, isCore), name: CORE, summary: "the few tools for daily work", has: isCore },
    ...features.flatMap(({ preset }) => {
      if (preset === undefined) return [];
      const { name, summary, partsOf = [], instructions, urlArguments = [], instead = {} } = preset;
      const tools = new Set(preset.tools);
      return {
        ...{ name, summary, urlArguments, instead, has: (operation: Operation) => tools.has(operation.name) },
        features: features.filter((feature) => partsOf.includes(feature.name)),
        instructions: instructions === undefined ? [] : [instructions],
      };
    }),
  ];
  const names = [READ_ONLY, ...presets.map(({ name }) => name)];
  const wrong = names.find((name, at) => !NAME.test(name) || names.indexOf(name) !== at);
  if (wrong !== undefined) throw new Error(`${JSON.stringify(wrong)} cannot be the name of a preset, or is taken`);
  return presets;
}

/** Returns the prompts and resources of the features, and the instructions of those that have a tool. */
function partsWith(features: readonly Feature[], has: Preset["has"]): Pick<Preset, "features" | "instructions"> {
  const told = features.filter((feature) => operationsOf([feature]).some(has));
  return { features, instructions: told.flatMap(({ instructions = [] }) => instructions) };
}

/** Names of the operations of these features. */
function namesOf(features: readonly Feature[]): readonly string[] {
  return operationsOf(features).map(({ name }) => name);
}
