// What other folders may use of the tools of shared-context-server: the manifests.

export { agentMemoryFeature, collaborationFeature, serverInfoFeature, toolDocsFeature } from "./feature.ts";
