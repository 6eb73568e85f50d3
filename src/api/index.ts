// The REST surface, for the node to mount.

export { type Api, createApi, type Health } from "./app.ts";
export { problemResponse } from "./problem.ts";
