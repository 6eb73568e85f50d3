// What other folders may use of agents: the manifest.

export { agentFeature } from "./feature.ts";
