// The HTTP routes of probes: their states, and beats of jobs that have no more than curl.

import type { PathParameter, RestRoute } from "../../operation/rest-route.ts";

const MAX_BODY_BYTES = 4096;
const tag = "probes";
const name: PathParameter = { kind: "wide", maxLength: 64, description: "Name of the probe" };
const space = { kind: "text", description: "The space that the probe declares (default fleet)" } as const;
const response = { kind: "json" } as const;

/** The routes. */
export const probeRoutes: readonly RestRoute[] = [
  {
    method: "GET",
    path: "/probes",
    operationId: "listProbes",
    summary: "List probes with their states",
    tag,
    operation: "probe_list",
    query: {
      space: { kind: "text", description: "Only those of this space" },
      label: { kind: "text", description: "Only those with this label" },
      state: { kind: "text", description: "Only those in this state" },
    },
    response,
  },
  {
    method: "GET",
    path: "/probes/{name}",
    params: { name },
    operationId: "getProbe",
    summary: "Look at a probe and its last results",
    tag,
    operation: "probe_get",
    query: { space },
    response,
  },
  {
    method: "POST",
    path: "/probes/{name}/beat",
    params: { name },
    operationId: "sendBeat",
    summary: "Send the beat of a job",
    tag,
    operation: "probe_beat",
    query: { space },
    body: {
      kind: "json",
      members: ["good", "text"],
      refusal: "The body must be a JSON object with good or text",
      maxBytes: MAX_BODY_BYTES,
    },
    response,
  },
];
