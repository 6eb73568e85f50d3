// The HTTP routes of contexts (architecture.md 8), as rows for the router of api/. Rules and rights are those of the
// operations.

import { MAX_DOCUMENT_BYTES } from "../../lib/bounds.ts";
import { MAX_ID } from "../../lib/id-syntax.ts";
import { DEFAULT_WAIT_SECONDS } from "../../operation/define.ts";
import type {
  PathParameter,
  QueryParameter,
  RestRoute,
  RouteResponse,
  StoredText,
} from "../../operation/rest-route.ts";
import { contextDelete } from "./delete.ts";
import { contextDiff } from "./diff-versions.ts";
import { contextGet, contextMetadata } from "./get.ts";
import { contextList } from "./list-contexts.ts";
import { contextHistory } from "./list-versions.ts";
import { contextPatch } from "./patch.ts";
import { CONTEXT_PROCESS } from "./process.ts";
import { contextPut } from "./put.ts";
import { contextRestore } from "./restore.ts";
import { contextWait } from "./wait.ts";

/** The body of a restore holds one version number. */
const MAX_RESTORE_BYTES = 1024;

const tag = "contexts";
const id: PathParameter = {
  kind: "wide",
  maxLength: MAX_ID,
  description: "Context id; / plain or percent-encoded",
};
const limit: QueryParameter = { kind: "count", description: "At most this many" };
const cursor: QueryParameter = { kind: "text", description: "The cursor of the previous page" };
const prefix: QueryParameter = { kind: "text", description: "Only ids that start with this text" };
const fence: QueryParameter = {
  kind: "text",
  description: "The fence of a lease: refused if another one got it since",
};
const since: QueryParameter = { kind: "text", description: "Changes after this position (default: from now on)" };

const document: RouteResponse = {
  kind: "document",
  documentOf,
  headers: {
    "Cairn-Version": { type: "integer" },
    "Cairn-Author": { type: "string", description: "Percent-encoded" },
    "Cairn-Author-Agent": { type: "string", description: "Where the author acted as an agent" },
  },
};

function documentOf(output: Readonly<Record<string, unknown>>): StoredText {
  return {
    text: String(output["content"]),
    mediaType: String(output["content_type"]),
    etag: String(output["etag"]),
    modifiedAt: String(output["updated_at"]),
    headers: {
      "Cairn-Version": String(output["version"]),
      "Cairn-Author": encodeURI(String(output["author"])),
      ...(output["agent"] === undefined ? {} : { "Cairn-Author-Agent": String(output["agent"]) }),
    },
  };
}

const writes: readonly RestRoute[] = [
  {
    method: "PUT",
    path: "/contexts/{id}",
    params: { id },
    operationId: "putContext",
    summary: "Write a context",
    tag,
    operation: contextPut.name,
    query: {
      title: { kind: "text", description: "A short title" },
      tag: { kind: "repeated", argument: "tags", description: "A tag; may be given several times" },
      expires_in: { kind: "count", minimum: 0, description: "Seconds until it is deleted; 0: never" },
      metadata: { kind: "text", description: "A JSON object to filter by" },
      supersedes: { kind: "repeated", description: "Id of a context that it replaces; may be given several times" },
      visibility: { kind: "text", description: "Who may read it: public, private, agent_only or admin_only" },
      to: { kind: "repeated", description: "With private: an agent, login or tag; may be given several times" },
      fence,
    },
    conditions: ["if-match", "if-none-match"],
    errors: [409],
    body: { kind: "document", argument: "content", typeArgument: "content_type", maxBytes: MAX_DOCUMENT_BYTES },
    response: { kind: "json", etag: true, created: true },
  },
  {
    method: "PATCH",
    path: "/contexts/{id}",
    params: { id },
    operationId: "patchContext",
    summary: "Change a part of a context",
    tag,
    operation: contextPatch.name,
    query: { fence },
    conditions: ["if-match"],
    body: {
      kind: "patch",
      argument: "patch",
      typeArgument: "format",
      types: {
        "application/merge-patch+json": "merge",
        "application/json-patch+json": "json-patch",
        "application/cairn-edit+json": "edit",
      },
      maxBytes: MAX_DOCUMENT_BYTES,
    },
    response: { kind: "json", etag: true },
    errors: [409],
  },
  {
    method: "DELETE",
    path: "/contexts/{id}",
    params: { id },
    operationId: "deleteContext",
    summary: "Delete a context",
    tag,
    operation: contextDelete.name,
    query: { fence },
    conditions: ["if-match"],
    response: { kind: "empty", description: "Deleted" },
    errors: [409],
  },
  {
    method: "POST",
    path: "/contexts/{id}/restore",
    params: { id },
    operationId: "restoreVersion",
    summary: "Restore an earlier version",
    tag,
    operation: contextRestore.name,
    query: { fence },
    conditions: ["if-match"],
    body: {
      kind: "json",
      members: ["version"],
      required: ["version"],
      refusal: 'The body of a restore must be {"version": n}',
      maxBytes: MAX_RESTORE_BYTES,
    },
    response: { kind: "json", etag: true, created: true },
    errors: [409],
  },
];

const reads: readonly RestRoute[] = [
  {
    method: "GET",
    path: "/contexts",
    operationId: "listContexts",
    summary: "List contexts",
    tag,
    operation: contextList.name,
    query: {
      prefix,
      tag: { kind: "text", description: "Only contexts with this tag" },
      metadata: { kind: "text", description: "Only contexts whose metadata has the members of this JSON object" },
      current: { kind: "flag", description: "Without superseded ones" },
      updated_since: { kind: "text", description: "Only contexts written at or after this time (ISO 8601)" },
      limit,
      cursor,
      fields: { kind: "list", description: "Only these fields of each context, separated by commas" },
    },
    response: { kind: "json" },
  },
  {
    method: "GET",
    path: "/contexts/{id}",
    params: { id },
    operationId: "getContext",
    summary: "Read a context",
    tag,
    operation: contextGet.name,
    constants: { format: "text" },
    query: {
      version: { kind: "count", description: "An earlier version" },
      at: { kind: "text", description: "A position: the document as it was then" },
    },
    conditions: ["if-none-match"],
    response: document,
  },
  {
    method: "GET",
    path: "/contexts/{id}/versions/{version}",
    params: { id, version: { kind: "count" } },
    operationId: "getVersion",
    summary: "Read one version",
    tag,
    operation: contextGet.name,
    constants: { format: "text" },
    conditions: ["if-none-match"],
    response: document,
  },
  {
    method: "GET",
    path: "/contexts/{id}/process",
    params: { id },
    operationId: "processContext",
    summary: "Outline or shorten a context",
    tag,
    operation: CONTEXT_PROCESS,
    query: {
      task: { kind: "text", choices: ["outline", "summary", "compact"], description: "Default: summary" },
      max_chars: { kind: "count", description: "At most this many characters (default 1000)" },
      by: { kind: "text", choices: ["model", "extraction"], description: "Default: model, where the node has one" },
    },
    response: { kind: "json" },
    errors: [410],
  },
  {
    method: "GET",
    path: "/contexts/{id}/metadata",
    params: { id },
    operationId: "getMetadata",
    summary: "Metadata of a context",
    tag,
    operation: contextMetadata.name,
    response: { kind: "json", etag: true },
  },
  {
    method: "GET",
    path: "/contexts/{id}/versions",
    params: { id },
    operationId: "listVersions",
    summary: "History of a context",
    tag,
    operation: contextHistory.name,
    query: { limit, cursor },
    response: { kind: "json" },
  },
  {
    method: "GET",
    path: "/contexts/{id}/diff",
    params: { id },
    operationId: "diffVersions",
    summary: "Difference of two versions",
    tag,
    operation: contextDiff.name,
    query: {
      from: { kind: "count", description: "The older version", required: true },
      to: { kind: "count", description: "The newer version (default: the newest)" },
      format: {
        kind: "text",
        choices: ["json-patch", "text"],
        description: "Default: by the type of the document",
      },
    },
    response: { kind: "json" },
    errors: [415],
  },
];

const feeds: readonly RestRoute[] = [
  {
    method: "GET",
    path: "/contexts/{id}/stream",
    params: { id },
    operationId: "followContext",
    summary: "Follow a context",
    tag,
    operation: contextWait.name,
    query: { since },
    response: { kind: "stream" },
  },
  {
    method: "GET",
    path: "/changes",
    operationId: "followChanges",
    summary: "Follow the changes",
    tag,
    operation: contextWait.name,
    query: {
      since,
      prefix,
      feed: { kind: "text", choices: ["sse", "longpoll"], description: "Default: by Accept" },
      timeout: {
        kind: "count",
        argument: "timeout_seconds",
        minimum: 0,
        maximum: 300,
        description: `Seconds, for longpoll (default ${DEFAULT_WAIT_SECONDS})`,
      },
      limit: { kind: "count", maximum: 100, description: "At most this many, for longpoll (default 100)" },
    },
    response: {
      kind: "stream",
      longPoll: {
        choose: "feed",
        only: ["timeout", "limit"],
        wait: "timeout",
      },
    },
  },
];

/** The routes. Rows of one path are in the order in which the header `Allow` lists their methods. */
export const contextRoutes: readonly RestRoute[] = [...reads, ...writes, ...feeds];
