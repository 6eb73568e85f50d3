// One row of the table of HTTP routes, as a feature declares it. api/ makes routing, `OPTIONS`, `Allow`,
// `Accept-Patch`, 405, the paths of /openapi.json and docs/routes.md from the rows.

/** A route: a method at a path that calls one operation. */
export interface RestRoute extends RouteShape {
  /** Name of the operation. */
  operation: string;
  /** Arguments that every call of this route has. */
  constants?: Readonly<Record<string, unknown>>;
  /**
   * Conditional headers that the route evaluates. For a write they become the arguments `if_match` and `if_none_match`,
   * and a condition that is not listed is refused. For a read `if-none-match` may give 304.
   */
  conditions?: readonly Condition[];
  body?: RouteBody;
  response: RouteResponse;
  /** Statuses of problems beside those that every read, or every write, may give. */
  errors?: readonly number[];
}

/** The part of a row that does not depend on an operation. `GET` includes `HEAD`; every path has `OPTIONS`. */
export interface RouteShape {
  method: "GET" | "PUT" | "POST" | "PATCH" | "DELETE";
  /** The path, with its parameters in braces, such as `/contexts/{id}/versions/{version}`. */
  path: string;
  /** The parameters of the path; each is the argument of its name. */
  params?: Readonly<Record<string, PathParameter>>;
  /** Query parameters by name; every other one is refused. */
  query?: Readonly<Record<string, QueryParameter>>;
  /** Name of the row in /openapi.json, unique over all rows. */
  operationId: string;
  /** What it does, in a few words. */
  summary: string;
  /** Group of the row in /openapi.json. */
  tag: string;
}

/** The conditional headers that a route may evaluate (RFC 9110 13.1). */
export type Condition = "if-match" | "if-none-match";

/** A parameter of the path. */
export interface PathParameter {
  /**
   * `wide`: the rest of the path, with its slashes, up to the literal segments behind it in the template; these
   * segments can be part of no value, so an encoded slash means the same as a plain one. `segment`: one segment.
   * `count`: a whole number from 1. Percent-encoding is decoded exactly once.
   */
  kind: "wide" | "segment" | "count";
  /** Most characters of the decoded value, for the description. */
  maxLength?: number;
  description?: string;
}

/** A parameter of the query. */
export interface QueryParameter {
  /**
   * `list`: values separated by commas; `\,` is a comma within one (lib/comma-list.ts). `repeated`: may be given
   * several times. `count`: a whole number. `flag`: true or false.
   */
  kind: "text" | "count" | "list" | "repeated" | "flag";
  /** The argument it becomes; left out: the one of the same name. */
  argument?: string;
  description: string;
  required?: true;
  /** The values it may have. The operation refuses others. */
  choices?: readonly string[];
  /** Smallest value of a count, for the description; 1. */
  minimum?: number;
  maximum?: number;
}

/** What a route reads of the body of a request. */
export type RouteBody =
  /** The body itself is the text of a document; its media type is an argument, and has to be given. */
  | { kind: "document"; argument: string; typeArgument: string; maxBytes: number }
  /** The body is the text of a patch; each media type stands for one value of an argument. */
  | {
      kind: "patch";
      argument: string;
      typeArgument: string;
      types: Readonly<Record<string, string>>;
      maxBytes: number;
    }
  /** A JSON object of these members, which are arguments. `refusal` says what the body should be. */
  | { kind: "json"; members: readonly string[]; required?: readonly string[]; refusal: string; maxBytes: number }
  /**
   * Bytes in a form of their own, which the feature decodes into these members, which are arguments. `types`: the media
   * types, for the description.
   */
  | {
      kind: "decoded";
      members: readonly string[];
      types: readonly string[];
      maxBytes: number;
      /** Headers that it reads, for the description. */
      headers?: Readonly<Record<string, string>>;
      decode(body: RawBody): DecodedBody;
    };

/** A body and what the head of its request says of it. */
export interface RawBody {
  bytes: Uint8Array;
  /** The header Content-Type; null: none. */
  contentType: string | null;
  /** All headers, their names in lower case, a character for each byte of a value. */
  headers: Readonly<Record<string, string>>;
}

/** The arguments that a body makes, and the form in which its sender gets the output. */
export interface DecodedBody {
  input: Readonly<Record<string, unknown>>;
  /** Returns the output in that form. Throws a Fault where that is the answer. Left out: the output as it is. */
  shape?(output: Readonly<Record<string, unknown>>): Record<string, unknown>;
}

/** How the output of the operation becomes a response. */
export type RouteResponse =
  /**
   * The output as JSON. `etag`: with the ETag that it names. `created`: 201, where it says `created` or always.
   * `durability`: with the promise that it names, in the header Cairn-Durability. `accepted`: 202 for an output that is
   * not done yet.
   */
  | {
      kind: "json";
      etag?: true;
      created?: true | "always";
      durability?: true;
      accepted?(output: Readonly<Record<string, unknown>>): boolean;
    }
  /** A stored text as the body. */
  | { kind: "document"; documentOf(output: Readonly<Record<string, unknown>>): StoredText; headers: HeaderTable }
  /**
   * Bytes, whole or the range that is asked for: the operation is called with `offset` and `length` for each part of at
   * most `partBytes`, as the client takes them.
   */
  | { kind: "bytes"; partBytes: number; partOf(output: Readonly<Record<string, unknown>>): BytesPart }
  /** 204. */
  | { kind: "empty"; description: string }
  /** The change feed as server-sent events: the operation is followed. `Last-Event-ID` becomes `since`. */
  | { kind: "stream"; longPoll?: LongPoll }
  /**
   * A WebSocket: the operation is followed, and `publish` names the operation that takes `events` and `space` from the
   * messages of the client.
   */
  | { kind: "socket"; publish: string };

/** A part of stored bytes, and what is known of the whole, which never changes. */
export interface BytesPart {
  data: Uint8Array;
  /** Size of the whole. */
  bytes: number;
  /** Without quotes; it names the bytes. */
  etag: string;
  /** The media type that was stored. */
  mediaType: string;
  /** ISO 8601. */
  modifiedAt: string;
}

/** A stored text; api/ decides under which media type a client gets it. */
export interface StoredText {
  text: string;
  /** The media type that was stored. */
  mediaType: string;
  /** Without quotes; it must name the text and everything in the headers. */
  etag: string;
  /** ISO 8601. */
  modifiedAt: string;
  /** Further headers: those of the table beside. */
  headers: Readonly<Record<string, string>>;
}

/** Headers of a response by name. */
export type HeaderTable = Readonly<Record<string, { type: "string" | "integer"; description?: string }>>;

/** The same read as a long poll. */
export interface LongPoll {
  /** Query parameter with `sse` or `longpoll`; without it `Accept` decides. */
  choose: string;
  /** Query parameters that only a long poll has. */
  only: readonly string[];
  /** Query parameter with the time to wait in seconds, whose default is the operation's; HEAD never waits. */
  wait: string;
}
