// Makes the response to a call of an operation, as its row declares it. Streams are feed.ts, errors problem.ts.

import { isJsonType } from "../lib/media-type.ts";
import type { Answer } from "../operation/answer.ts";
import type { RestRoute, StoredText } from "../operation/rest-route.ts";
import { contentResponse, freshnessOf, jsonResponse } from "./content.ts";
import { SAFE_HEADERS } from "./problem.ts";

/** The declaration of a response that is made of one output. */
export type OutputResponse = Exclude<RestRoute["response"], { kind: "stream" | "socket" | "bytes" }>;

/**
 * Returns the response. `isConditional`: If-None-Match of the request is judged; Fault `invalid_input` where it cannot
 * be read. `whole`: the output of the operation, where that of `found` has another form.
 */
export function respond(
  request: Request,
  declared: OutputResponse,
  isConditional: boolean,
  found: Answer,
  whole = found.output,
): Promise<Response> | Response {
  const { output } = found;
  const headers = freshnessOf(found);
  switch (declared.kind) {
    case "json": {
      const { etag, created } = output;
      const { durability } = whole;
      const promise =
        declared.durability === true && typeof durability === "string" ? { "Cairn-Durability": durability } : {};
      const tagged = declared.etag === true && typeof etag === "string" ? { etag } : {};
      const isNew = declared.created === "always" || (declared.created === true && created === true);
      const status = declared.accepted?.(whole) === true ? 202 : 200;
      return jsonResponse(request, output, {
        status: isNew ? 201 : status,
        headers: { ...headers, ...promise },
        ...tagged,
      });
    }
    case "document":
      return respondText(request, declared.documentOf(output), isConditional, headers);
    case "empty":
      return new Response(null, { status: 204, headers: { ...SAFE_HEADERS, ...headers } });
  }
}

/** A stored text goes out as JSON or plain text only; the stored type is a header beside it (security.md 15). */
function respondText(
  request: Request,
  stored: StoredText,
  isConditional: boolean,
  headers: Record<string, string>,
): Promise<Response> {
  return contentResponse(request, {
    text: stored.text,
    type: isJsonType(stored.mediaType) ? "application/json" : "text/plain; charset=utf-8",
    etag: stored.etag,
    conditional: isConditional,
    headers: {
      ...headers,
      ...stored.headers,
      "Cairn-Content-Type": stored.mediaType,
      "Last-Modified": new Date(stored.modifiedAt).toUTCString(),
    },
  });
}
