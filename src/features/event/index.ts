// What other folders may use of events: the manifests.

export { VOTERS } from "./event-log.ts";
export { eventFeature } from "./feature.ts";
export { callbackFeature } from "./mcp/callback/feature.ts";
export { placedLimits } from "./moves/limits.ts";
export { subscriptionFeature } from "./subscription/feature.ts";
