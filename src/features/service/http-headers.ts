// Which headers pass between callers and services. What is about one connection does not, nor what only Cairn may say,
// nor what would reach beyond the path of the service: all of them share one host with Cairn itself.

/** About one connection (RFC 9110 7.6.1). */
const HOP_BY_HOP = [
  ...["connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"],
  ...["transfer-encoding", "upgrade"],
];

/** Not for services: what only the node may say of a caller, and cookies and origins, which are of the whole host. */
const NOT_FOR_SERVICES = [
  ...HOP_BY_HOP,
  ...["host", "content-length", "cookie", "origin", "referer", "forwarded", "expect"],
];
const NOT_FOR_SERVICES_PREFIXES = ["cairn-", "tailscale-", "x-forwarded-", "sec-fetch-", "sec-websocket-", "x-real-ip"];

/** Not for callers: what would change how a browser treats the host. */
const NOT_FOR_CALLERS = [
  ...HOP_BY_HOP,
  ...["set-cookie", "clear-site-data", "strict-transport-security", "alt-svc", "service-worker-allowed", "refresh"],
  ...["nel", "report-to", "reporting-endpoints", "accept-ch", "critical-ch"],
];
const NOT_FOR_CALLERS_PREFIXES = ["cairn-", "access-control-"];

/**
 * A page of a service has an origin of its own: its scripts cannot call this node as whoever looks at it (security.md
 * 15).
 */
const SANDBOX = "sandbox allow-downloads allow-forms allow-popups allow-scripts";

/** Returns the headers of a request that a service gets. */
export function requestHeaders(headers: Headers): Headers {
  return without(headers, NOT_FOR_SERVICES, NOT_FOR_SERVICES_PREFIXES);
}

/** Returns the headers of an answer that a caller gets. */
export function answerHeaders(headers: Headers): Headers {
  const kept = without(headers, NOT_FOR_CALLERS, NOT_FOR_CALLERS_PREFIXES);
  // Policies add up: that of the service holds too.
  kept.append("content-security-policy", SANDBOX);
  kept.set("x-content-type-options", "nosniff");
  kept.set("cross-origin-resource-policy", "same-origin");
  return kept;
}

function without(headers: Headers, names: readonly string[], prefixes: readonly string[]): Headers {
  // CGI and its like read `Cairn_Caller` as `Cairn-Caller`.
  const plain = (name: string) => name.replaceAll("_", "-");
  const named = (headers.get("connection") ?? "").split(",").map((name) => name.trim().toLowerCase());
  const left = new Headers();
  for (const [name, value] of headers) {
    const isOut =
      names.includes(plain(name)) || named.includes(name) || prefixes.some((prefix) => plain(name).startsWith(prefix));
    if (!isOut) left.append(name, value);
  }
  return left;
}
