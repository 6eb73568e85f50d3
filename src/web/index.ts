// The pages, for the node to mount.

export { createWeb, type Scheme, type Web } from "./app.ts";
