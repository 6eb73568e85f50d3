// What other folders may use of events: the manifests.

export { eventFeature } from "./feature.ts";
export { callbackFeature } from "./mcp/callback/feature.ts";
export { subscriptionFeature } from "./subscription/feature.ts";
