// The HTTP routes of services, as rows for the router of api/. Rules and rights are those of the operations.

import type { PathParameter, RestRoute } from "../../operation/rest-route.ts";
import { MAX_DEPLOY_BYTES } from "./deploy.ts";

const MAX_BODY_BYTES = 4096;
const tag = "services";
const name: PathParameter = { kind: "wide", maxLength: 64, description: "Name of the service" };
const response = { kind: "json" } as const;
const text = (description: string) => ({ kind: "text", description }) as const;
const space = text("The space that the service declares (default fleet)");

/** The routes. */
export const serviceRoutes: readonly RestRoute[] = [
  {
    method: "GET",
    path: "/services",
    operationId: "listServices",
    summary: "List services with their members",
    tag,
    operation: "service_list",
    query: { space: text("Only those of this space"), state: text("Only those in this state") },
    response,
  },
  {
    method: "GET",
    path: "/service-plan",
    operationId: "planServices",
    summary: "What would be done about services",
    tag,
    operation: "service_plan",
    query: {
      name: text("Only this service"),
      without: { kind: "list", description: "Members, as if they were away" },
    },
    response,
  },
  {
    method: "GET",
    path: "/services/{name}",
    params: { name },
    operationId: "getService",
    summary: "Look at a service",
    tag,
    operation: "service_get",
    query: { space },
    response,
  },
  {
    method: "GET",
    path: "/services/{name}/output",
    params: { name },
    operationId: "getServiceOutput",
    summary: "The end of what a service wrote",
    tag,
    operation: "service_output",
    query: { space, node: text("The member, where several have a copy") },
    response,
  },
  {
    method: "POST",
    path: "/services/{name}/move",
    params: { name },
    operationId: "moveService",
    summary: "Move a service",
    tag,
    operation: "service_move",
    query: { space },
    body: {
      kind: "json",
      members: ["to"],
      refusal: "The body must be a JSON object with to, or empty",
      maxBytes: MAX_BODY_BYTES,
    },
    response,
  },
  {
    method: "POST",
    path: "/services/{name}/restart",
    params: { name },
    operationId: "restartService",
    summary: "Restart a service",
    tag,
    operation: "service_restart",
    query: { space },
    body: {
      kind: "json",
      members: ["node"],
      refusal: "The body must be a JSON object with node, or empty",
      maxBytes: MAX_BODY_BYTES,
    },
    response,
  },
  {
    method: "POST",
    path: "/services/{name}/deploy",
    params: { name },
    operationId: "deployService",
    summary: "Give a service another artifact",
    tag,
    operation: "service_deploy",
    body: {
      kind: "json",
      members: ["files", "artifact", "declared", "within"],
      refusal: "The body must be a JSON object with files or artifact",
      maxBytes: MAX_DEPLOY_BYTES,
    },
    response,
  },
  {
    method: "POST",
    path: "/services/{name}/rollback",
    params: { name },
    operationId: "rollBackService",
    summary: "Bring back what a service was before its last deploy",
    tag,
    operation: "service_rollback",
    response,
  },
];
