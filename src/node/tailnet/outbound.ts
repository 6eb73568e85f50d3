// The only outbound connection to the host's network (security.md 19), and one to services of the tailnet: requests go
// to the Go half's egress, which decides where they may go.

import { z } from "zod";
import { directFetch } from "../../lib/direct-fetch.ts";
import { EGRESS_REFUSAL_HEADER } from "../../lib/egress-refusal.ts";
import { Fault } from "../../lib/fault.ts";
import { parseObject } from "../../lib/json-object.ts";
import { connectionReason } from "../../lib/reason-of.ts";
import type { Outbound } from "../../operation/node-parts.ts";

const problem = z.object({ detail: z.string(), hint: z.string().optional() });

/**
 * Returns the function that sends requests through `egress.sock` with the secret of this start, to the host's network
 * or to devices of the tailnet. Fault `unavailable`
 * where the Go half refuses, or before the node is up.
 */
export function outboundBy(socket: string, secret: string, network: "host" | "tailnet" = "host"): Outbound {
  return async (url, { method, headers, body, signal, protocol }) => {
    let response: Response;
    try {
      // The scheme travels as a header: TLS begins behind the socket.
      response = await directFetch(`http://${url.host}${url.pathname}${url.search}`, {
        method,
        headers: {
          "accept-encoding": "identity",
          ...headers,
          host: url.host,
          "cairn-internal-secret": secret,
          ...(protocol === undefined ? {} : { "cairn-internal-protocol": protocol }),
          "cairn-internal-scheme": url.protocol.slice(0, -1),
          ...(network === "tailnet" ? {} : { "cairn-internal-network": "host" }),
        },
        ...(body === undefined ? {} : { body }),
        redirect: "manual",
        // Bun would decompress ahead of what is read: a small body could fill the memory.
        decompress: false,
        signal,
        unix: socket,
        // Bun pools connections by host alone, whatever socket they go through.
        keepalive: false,
      });
    } catch (cause) {
      signal.throwIfAborted();
      throw notOpen(connectionReason(cause), cause);
    }
    const refusal = response.headers.get(EGRESS_REFUSAL_HEADER);
    if (refusal === null) return response;
    throw refusedBy(refusal, await response.text().catch(() => ""), url.host);
  };
}

/** Returns the Fault where the Go half does not serve its egress. */
export function notOpen(reason: string, cause: unknown): Fault {
  return new Fault("unavailable", `The outbound connection of this node is not open: ${reason}`, {
    hint: "It opens once the node has started its tailnet half.",
    facts: { transient: true },
    cause,
  });
}

/** Returns the Fault of a refusal of the Go half, whose body is a problem. */
export function refusedBy(refusal: string, body: string, host: string): Fault {
  const said = problem.safeParse(parseObject(body));
  return new Fault("unavailable", said.data?.detail ?? `${host} cannot be reached (${refusal})`, {
    hint: said.data?.hint ?? "Check the address and this machine's network.",
    // A refusal is final; only failed connections can be retried.
    facts: {
      transient: refusal === "dial_failed" || refusal === "exchange_failed",
      ...(refusal === "outbound_refused" ? { refusedHere: true } : {}),
    },
  });
}

/** Stands for it on a node of `cairn dev`, which has no Go half. Rejects with Fault `unavailable`. */
export const noOutbound: Outbound = async (url) => {
  throw new Fault("unavailable", `A development node has no outbound connection, so ${url.host} is not asked`, {
    hint: "Use a node that cairn serve has started.",
    facts: { transient: false, refusedHere: true },
  });
};
