// Types of a manifest's parts for MCP: which operation a resource or prompt calls, and what it makes of the output. The
// protocol is in src/mcp. Stored text is passed on as data with its author, never as a name, title or description.

import type { Rights, Verb } from "../access/rights.ts";

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
  /** Further templates that clients are shown, of URIs that it reads too. */
  otherTemplates?: readonly { uriTemplate: string; name: string; title: string; description: string }[];
  /** Splits what a URI names into a target and the part of it. Default: all of it is the target. */
  split?(named: string): ResourceRequest;
  /** The feature whose changes have these targets. Default: its own. */
  changesOf?: string;
  /**
   * Returns the target that a change is a change of; undefined: it is of none. Set where an object is made of the
   * targets of changes, which then alter no list. Default: the target of the change.
   */
  targetOf?(changed: string): string | undefined;
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

/**
 * MCP Events, the extension `io.modelcontextprotocol/events`: which operations meet its requests. Shapes and errors of
 * the protocol are in src/mcp.
 */
export interface FeatureMcpEvents {
  list: ByOperation<PageRequest, EventTypePage>;
  /** The operation can be followed too, by the input of a poll: what it takes are occurrences with their cursor. */
  poll: ByOperation<EventsRequest, EventsPage>;
  /** Sends events to a callback; left out: none are sent. */
  subscribe?: ByOperation<CallbackRequest, CallbackGrant>;
  unsubscribe?: ByOperation<Pick<CallbackRequest, "name" | "arguments" | "url">, boolean>;
}

/** A page of types of events that the caller may subscribe to. */
export interface EventTypePage {
  types: readonly EventType[];
  /** Undefined on the last page. */
  cursor: string | undefined;
}

/** A type of events. */
export interface EventType {
  name: string;
  description: string;
  /** Whether its events can be sent to a callback of this caller. */
  hasCallbacks: boolean;
  /** JSON Schemas of the arguments of a subscription, and of the data of an occurrence. */
  inputSchema: Readonly<Record<string, unknown>>;
  payloadSchema: Readonly<Record<string, unknown>>;
}

/** One subscription, and where it goes on. */
export interface EventsRequest {
  name: string;
  arguments: Readonly<Record<string, unknown>>;
  /** Undefined: from now on. */
  cursor: string | undefined;
  maxAgeMs: number | undefined;
  /** Most events; 0: only where it begins. Undefined: as the operation has it. */
  limit: number | undefined;
}

/** Occurrences of one subscription. */
export interface EventsPage {
  events: readonly Readonly<Record<string, unknown>>[];
  cursor: string;
  /** It begins later than the cursor that was given. */
  truncated: boolean;
  more: boolean;
}

/** A subscription whose events are sent to an address. */
export interface CallbackRequest extends Omit<EventsRequest, "limit"> {
  url: string;
  secret: string;
  /** How long it should live; null: without end. Undefined: as the server has it. */
  ttlMs: number | null | undefined;
}

/** What became of it. */
export interface CallbackGrant {
  id: string;
  /** ISO 8601: it ends then, unless it is asked for again. */
  refreshBefore: string;
  cursor: string;
  truncated: boolean;
  /** How its deliveries go; left out for a new one. */
  status?: Readonly<Record<string, unknown>>;
}

/** A body of `POST /mcp` that is no message of MCP, and was one of programs from before MCP. */
export interface ForeignBody {
  /** The operation that it calls. */
  operation: string;
  /** Returns the arguments; undefined for any other body, which goes to MCP. */
  input(body: unknown): Record<string, unknown> | undefined;
  /** The answer to a call that succeeded. */
  answer: Readonly<Record<string, unknown>>;
}

/**
 * What an address of MCP offers, for clients that should not see all tools: `/mcp/<name>`, also `/mcp?preset=<name>`.
 * Whether `/mcp` offers the same tools too is decided by the features that have them (`Feature.apart`).
 */
export interface FeaturePreset {
  /** Unique over all features: a lower-case letter, then up to 31 of these, digits and hyphens. */
  name: string;
  /** What it offers, as the end of "MCP with …". */
  summary: string;
  /** Names of the operations, of any feature, that are its tools. */
  tools: readonly string[];
  /** Tools of it that do what operations do which are no tools of it, by the names of these: errors name those. */
  instead?: Readonly<Record<string, string>>;
  /** Features whose prompts and resources it offers; left out: none. */
  partsOf?: readonly string[];
  /** Arguments of its tools that its URL may give to calls that lack them, such as `?space=team-a`; left out: none. */
  urlArguments?: readonly string[];
  /** How models use it well; left out: only what all clients learn. */
  instructions?: FeatureInstructions;
}

/** What models learn about a feature when they connect. It depends on the caller only by its rights. */
export interface FeatureInstructions {
  /** Sentences that say what the feature stores. */
  about?: string;
  /** Lines for all callers: how to read. */
  readers?: readonly string[];
  /** How to write. */
  writers?: {
    /** Callers that may use this write in some space get `lines`. */
    operation: string;
    lines: readonly string[];
    /** The line for all others. */
    otherwise: string;
  };
  /** Tools that one line of all features names, each for callers that may use it. */
  tools?: readonly MentionedTool[];
}

/** A tool in a line of many. */
export interface MentionedTool {
  operation: string;
  /** That of its access rule. */
  verb: Verb;
  /** What for, in few words. */
  use: string;
}
