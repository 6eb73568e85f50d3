// The parts of a manifest for MCP: which operation is asked, and what becomes of its output. The protocol is src/mcp's.
// Stored text that they pass on is data beside its author, never a name, title or description.

import type { Rights } from "../access/rights.ts";

/** How a request is met by one operation, asked as the caller of the request; its Faults go to the client. */
export interface ByOperation<Request, Result> {
  /** Name of the operation. */
  operation: string;
  input(request: Request): Record<string, unknown>;
  result(output: Readonly<Record<string, unknown>>, request: Request): Result;
}

/** The things of a feature that have a URI. Their targets are those of the feature's changes. */
export interface FeatureResources {
  /**
   * RFC 6570 template with one variable at its end, such as `cairn://{+id}`. No URI of another feature begins with the
   * text before the variable.
   */
  uriTemplate: string;
  /** What one of them is called, in lists and messages: `context`. */
  name: string;
  title: string;
  description: string;
  list: ByOperation<PageRequest, ResourcePage>;
  /** Asked with the target. */
  read: ByOperation<string, ResourceContent>;
  /** Targets that begin with what was typed. */
  complete: Completion;
}

/** Which page of a list is wanted. */
export interface PageRequest {
  /** As the page before named it; undefined for the first. */
  cursor: string | undefined;
  /** Entries of a page at most. */
  limit: number;
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
  /** Bytes of its content. */
  size: number;
  /** ISO 8601. */
  updatedAt: string;
  /** What else is known of it, such as title and author: shown as data under `_meta`. */
  about: Record<string, unknown>;
}

/** The newest content of one resource. */
export interface ResourceContent extends Pick<ListedResource, "mimeType" | "about"> {
  text: string;
}

/** Suggests values of an argument. */
export type Completion = ByOperation<Typed, Suggestions>;

/** What was typed of an argument. */
export interface Typed {
  value: string;
  /** Arguments that have values already. */
  others: Readonly<Record<string, string>>;
  /** Suggestions at most. */
  limit: number;
}

/** Values that the caller may want. */
export interface Suggestions {
  values: readonly string[];
  hasMore: boolean;
}

/** A prompt: a text for the model of a caller, made of what operations return to that caller. */
export interface FeaturePrompt {
  /** Unique over all features. */
  name: string;
  title: string;
  description: string;
  arguments: readonly PromptArgument[];
  /** Operations without which it is of no use: it is listed for callers that have all of them as tools. */
  needs: readonly string[];
  /** Makes the text of arguments that are known, present where required, and not too long. Rejects with a Fault. */
  text(given: PromptValues, context: PromptContext): Promise<string>;
}

/** One argument of a prompt; its value is text. */
export interface PromptArgument {
  name: string;
  description: string;
  required?: true;
  /** Longest value in characters. */
  longest: number;
  complete?: Completion;
}

/** Values of a prompt's arguments by name. */
export type PromptValues = Readonly<Record<string, string>>;

/** What a prompt may use. */
export interface PromptContext {
  /** Runs an operation as the caller; rejects with its Fault. */
  ask(operation: string, input: Record<string, unknown>): Promise<Record<string, unknown>>;
  /** The caller's. */
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
    /** The write that a caller must be allowed somewhere to get `lines`. */
    operation: string;
    lines: readonly string[];
    /** The line for other callers. */
    otherwise: string;
  };
}
