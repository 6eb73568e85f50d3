// Types of a manifest's parts for MCP: which operation a resource or prompt calls, and what it makes of the output. The
// protocol is in src/mcp. Stored text is passed on as data with its author, never as a name, title or description.

import type { Rights } from "../access/rights.ts";

/** Serves a request by one operation, called as the caller of the request; its Faults go to the client. */
export interface ByOperation<Request, Result> {
  /** Name of the operation. */
  operation: string;
  input(request: Request): Record<string, unknown>;
  result(output: Readonly<Record<string, unknown>>, request: Request): Result;
}

/** The objects of a feature that have a URI. Their targets are those of the feature's changes. */
export interface FeatureResources {
  /** RFC 6570 template `scheme:///{name}`, such as `cairn:///{id}`. No other feature has this scheme. */
  uriTemplate: string;
  /** The name of one object, in lists and messages: `context`. */
  name: string;
  title: string;
  description: string;
  list: ByOperation<PageRequest, ResourcePage>;
  /** Names that the query of a URI may have, each for an argument of `read`. Default: none. */
  queryNames?: readonly string[];
  read: ByOperation<ResourceRequest, ResourceContent>;
  /** Targets that begin with what was typed. */
  complete: Completion;
}

/** Which page of a list to return. */
export interface PageRequest {
  /** The cursor of the page before; undefined for the first. */
  cursor: string | undefined;
  /** Most entries of a page. */
  limit: number;
}

/** What a URI names. */
export interface ResourceRequest {
  target: string;
  /** Which part of it. */
  query: Readonly<Record<string, string>>;
}

/** A page of what the caller may see. */
export interface ResourcePage {
  resources: readonly ListedResource[];
  /** Undefined on the last page. */
  cursor: string | undefined;
}

/** One entry of a list. */
export interface ListedResource {
  target: string;
  mimeType: string;
  /** Bytes of its content; left out where they are not known before it is read. */
  size?: number;
  /** ISO 8601. */
  updatedAt: string;
  /** Further data, such as title and author, shown under `_meta`. */
  about: Record<string, unknown>;
}

/** The newest content of one resource, or a part of it. */
export interface ResourceContent extends Pick<ListedResource, "mimeType" | "about"> {
  text: string;
}

/** Suggests values of an argument. */
export type Completion = ByOperation<Typed, Suggestions>;

/** The beginning of an argument, as typed. */
export interface Typed {
  value: string;
  /** Arguments that already have values. */
  others: Readonly<Record<string, string>>;
  /** Most suggestions to return. */
  limit: number;
}

/** Suggested values. */
export interface Suggestions {
  values: readonly string[];
  hasMore: boolean;
}

/** A prompt: a text for a caller's model, made of the outputs of operations that the caller may call. */
export interface FeaturePrompt {
  /** Unique over all features. */
  name: string;
  title: string;
  description: string;
  arguments: readonly PromptArgument[];
  /** Operations that it needs: it is listed for callers that have all of them as tools. */
  needs: readonly string[];
  /** Returns the text. The arguments are known, not too long, and present if required. Rejects with a Fault. */
  text(given: PromptValues, context: PromptContext): Promise<string>;
}

/** One argument of a prompt; its value is text. */
export interface PromptArgument {
  name: string;
  description: string;
  required?: true;
  /** Most characters of the value. */
  longest: number;
  /** Taken, but in no list: clients that split what is typed by words would fill it with the rest of the first one. */
  unlisted?: true;
  complete?: Completion;
}

/** Values of a prompt's arguments by name. */
export type PromptValues = Readonly<Record<string, string>>;

/** What a prompt may use. */
export interface PromptContext {
  /** Runs an operation as the caller. Rejects with its Fault. */
  ask(operation: string, input: Record<string, unknown>): Promise<Record<string, unknown>>;
  /** Rights of the caller. */
  rights: Rights;
}

/** What models learn about a feature when they connect. It depends on the caller only by its right to write. */
export interface FeatureInstructions {
  /** Sentences that say what the feature stores. */
  about: string;
  /** Lines for all callers: how to read. */
  readers: readonly string[];
  /** How to write. */
  writers: {
    /** Callers that may use this write in some space get `lines`. */
    operation: string;
    lines: readonly string[];
    /** The line for all others. */
    otherwise: string;
  };
}
