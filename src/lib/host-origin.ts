// Host and Origin rules for a listener without the Go half in front (security.md 12 and 13). Checked before routing,
// against requests that a page in a browser can be made to send.

import { Fault } from "./fault.ts";

export interface HostRules {
  /** Accepted Host values with their port, in lower case. */
  hosts: readonly string[];
  /** Accepted Origin values beside those of the hosts, such as `https://tools.example.com`. */
  origins: readonly string[];
}

/**
 * Returns the refusal of this request (`misdirected` or `forbidden`), or undefined where it may go on. Absent headers
 * prove nothing.
 */
export function judgeHostAndOrigin(request: { method: string; headers: Headers }, rules: HostRules): Fault | undefined {
  const host = request.headers.get("host")?.toLowerCase() ?? "";
  if (!rules.hosts.includes(host)) {
    return new Fault(
      "misdirected",
      `This listener does not answer for the host ${JSON.stringify(host.slice(0, 100))}`,
      {
        hint: `Use http://${rules.hosts[0] ?? "localhost"}/.`,
      },
    );
  }
  const origin = request.headers.get("origin");
  const allowed = origin !== null && (origin === `http://${host}` || rules.origins.includes(origin));
  if (origin !== null && !allowed) {
    return new Fault(
      "forbidden",
      `Pages of the origin ${JSON.stringify(origin.slice(0, 100))} may not call this node`,
      {
        hint: "Add the origin to the setting http.allowed_origins if you trust it.",
      },
    );
  }
  const site = request.headers.get("sec-fetch-site");
  if (site === null || site === "same-origin" || site === "none" || allowed) return undefined;
  const navigation =
    request.method === "GET" &&
    request.headers.get("sec-fetch-mode") === "navigate" &&
    request.headers.get("sec-fetch-dest") === "document";
  if (navigation) return undefined;
  return new Fault("forbidden", "Another site's page may not call this node", {
    hint: "Open the address directly, or add the page's origin to the setting http.allowed_origins.",
  });
}
