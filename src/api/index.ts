// The REST surface, for the node to mount, and its table of routes, for pages.

export { type Api, type ApiOptions, createApi, routesOf } from "./app.ts";
export type { Health, Identity } from "./node-facts.ts";
export { operationErrors } from "./openapi-parts.ts";
export { describeRow, errorsOf } from "./openapi-routes.ts";
export { problemResponse, SAFE_HEADERS } from "./problem.ts";
export type { Row } from "./route.ts";
