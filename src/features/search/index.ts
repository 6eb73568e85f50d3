// What other folders may use of searches: the manifest, the folder of the index, the check of their settings, and the
// model, which runs in a process of its own.

export { searchFeature } from "./feature.ts";
export { SEARCH_FOLDER } from "./index-store.ts";
export { serveModel } from "./meaning/model/model-process.ts";
export { embeddingsOf } from "./open-meaning.ts";
