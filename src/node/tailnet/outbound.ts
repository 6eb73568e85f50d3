// The only outbound connection to the host's network (security.md 19): requests go to the Go half's egress, which
// decides where they may go.

import { z } from "zod";
import { directFetch } from "../../lib/direct-fetch.ts";
import { Fault } from "../../lib/fault.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { Outbound } from "../../operation/node-parts.ts";

const problem = z.object({ detail: z.string(), hint: z.string().optional() });

/**
 * Returns the function that sends requests through `egress.sock` with the secret of this start. Fault `unavailable`
 * where the Go half refuses, or before the node is up.
 */
export function outboundBy(socket: string, secret: string): Outbound {
  return async (url, { method, headers, body, signal }) => {
    let response: Response;
    try {
      // The scheme travels as a header: TLS begins behind the socket.
      response = await directFetch(`http://${url.host}${url.pathname}${url.search}`, {
        method,
        headers: {
          ...headers,
          host: url.host,
          "cairn-internal-secret": secret,
          "cairn-internal-network": "host",
          "cairn-internal-scheme": url.protocol.slice(0, -1),
        },
        ...(body === undefined ? {} : { body }),
        redirect: "manual",
        signal,
        unix: socket,
        // Bun pools connections by host alone, whatever socket they go through.
        keepalive: false,
      });
    } catch (cause) {
      signal.throwIfAborted();
      throw new Fault("unavailable", `The outbound connection of this node is not open: ${reasonOf(cause)}`, {
        hint: "It opens once the node has started its tailnet half.",
        facts: { transient: true },
        cause,
      });
    }
    const refusal = response.headers.get("cairn-internal-refusal");
    if (refusal === null) return response;
    const said = problem.safeParse(await response.json().catch(() => undefined));
    throw new Fault("unavailable", said.data?.detail ?? `${url.host} cannot be reached (${refusal})`, {
      hint: said.data?.hint ?? "Check the address and this machine's network.",
      // A refusal is final; only failed connections can be retried.
      facts: { transient: refusal === "dial_failed" || refusal === "exchange_failed" },
    });
  };
}
