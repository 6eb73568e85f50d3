// CORS for the origins of `http.allowed_origins` and no others (security.md 14): their pages may read answers, with
// every method and header of the surfaces.

const METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS =
  "Accept, Content-Type, If-Match, If-None-Match, Idempotency-Key, Last-Event-ID, Cairn-Consistency, " +
  "Cairn-Min-Position, Cairn-Client, Cairn-Agent, Traceparent, Tracestate, " +
  "Mcp-Session-Id, Mcp-Protocol-Version, Mcp-Method, Mcp-Name";
const EXPOSED_HEADERS =
  "ETag, Retry-After, Allow, Accept-Patch, Age, Cairn-Cache, Cairn-Position, Cairn-Version, Cairn-Author, " +
  "Cairn-Author-Agent, Cairn-Content-Type, Mcp-Session-Id";
const PREFLIGHT_SECONDS = 600;

/** Returns the origin of the request if the settings allow it; undefined if no header has to be added. */
export function sharedOrigin(request: Request, origins: readonly string[]): string | undefined {
  const origin = request.headers.get("origin");
  return origin !== null && origins.includes(origin) ? origin : undefined;
}

/** Returns the answer to a preflight request (Fetch standard, 3.2.2); undefined for other requests. */
export function preflight(request: Request, origin: string): Response | undefined {
  if (request.method !== "OPTIONS" || !request.headers.has("access-control-request-method")) return undefined;
  return new Response(null, {
    status: 204,
    headers: {
      "Access-Control-Allow-Origin": origin,
      "Access-Control-Allow-Methods": METHODS,
      "Access-Control-Allow-Headers": REQUEST_HEADERS,
      "Access-Control-Max-Age": String(PREFLIGHT_SECONDS),
      Vary: "Origin",
    },
  });
}

/** Adds the headers that let a page of this origin read the answer. */
export function shareWith(response: Response, origin: string): Response {
  response.headers.set("Access-Control-Allow-Origin", origin);
  response.headers.set("Access-Control-Expose-Headers", EXPOSED_HEADERS);
  response.headers.append("Vary", "Origin");
  return response;
}
