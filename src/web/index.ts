// The pages, for the node to mount, and their routes, for docs/routes.md.

export { createWeb, type Scheme, type Web } from "./app.ts";
export { isPagePath } from "./paths.ts";
export { pageRoutes } from "./site.ts";
