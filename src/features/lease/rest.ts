// The HTTP routes of leases, as rows for the router of api/. Rules and rights are those of the operations.

import { MAX_ID } from "../../lib/id-syntax.ts";
import { DEFAULT_WAIT_SECONDS } from "../../operation/define.ts";
import type { PathParameter, QueryParameter, RestRoute } from "../../operation/rest-route.ts";

/** The body of a request for a lease holds its text and two numbers. */
const MAX_BODY_BYTES = 4096;

const tag = "leases";
const name: PathParameter = { kind: "wide", maxLength: MAX_ID, description: "Name of the lease; / plain or encoded" };
const fence: QueryParameter = { kind: "text", description: "The fence of the claim" };
const response = { kind: "json" } as const;

/** The routes. */
export const leaseRoutes: readonly RestRoute[] = [
  {
    method: "GET",
    path: "/leases",
    operationId: "listLeases",
    summary: "List leases",
    tag,
    operation: "lease_list",
    query: {
      prefix: { kind: "text", description: "Only names that start with this text" },
      limit: { kind: "count", description: "At most this many" },
      cursor: { kind: "text", description: "The cursor of the previous page" },
    },
    response,
  },
  {
    method: "GET",
    path: "/leases/{name}",
    params: { name },
    operationId: "waitForLease",
    summary: "Wait for a lease, or see its state with timeout=0",
    tag,
    operation: "lease_wait",
    query: {
      fence,
      since: { kind: "text", description: "A position: the state is read at least at that one" },
      timeout: {
        kind: "count",
        argument: "timeout_seconds",
        description: `Seconds (default ${DEFAULT_WAIT_SECONDS})`,
        minimum: 0,
        maximum: 300,
      },
    },
    response,
  },
  {
    method: "PUT",
    path: "/leases/{name}",
    params: { name },
    operationId: "acquireLease",
    summary: "Acquire a lease, or keep a place in the line for it",
    tag,
    operation: "lease_acquire",
    body: {
      kind: "json",
      members: ["ttl_seconds", "for", "wait_seconds", "fence"],
      refusal: "The body must be a JSON object with ttl_seconds, for, wait_seconds or fence",
      maxBytes: MAX_BODY_BYTES,
    },
    response,
    errors: [409, 507],
  },
  {
    method: "POST",
    path: "/leases/{name}",
    params: { name },
    operationId: "renewLease",
    summary: "Renew a lease",
    tag,
    operation: "lease_renew",
    query: { fence: { ...fence, required: true } },
    response,
    errors: [409],
  },
  {
    method: "DELETE",
    path: "/leases/{name}",
    params: { name },
    operationId: "releaseLease",
    summary: "Release a lease, or leave the line",
    tag,
    operation: "lease_release",
    query: { fence: { ...fence, required: true } },
    response,
    errors: [409],
  },
];
