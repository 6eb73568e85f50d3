// The REST surface, for the node to mount.

export { type Api, type ApiOptions, createApi } from "./app.ts";
export type { Health, Identity } from "./node-routes.ts";
export { problemResponse, SAFE_HEADERS } from "./problem.ts";
