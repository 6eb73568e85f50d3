// What other folders may use of sessions: the manifest.

export { sessionFeature } from "./feature.ts";
