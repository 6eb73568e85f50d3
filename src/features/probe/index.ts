// What other folders may import from the feature of probes.

export { probeFeature } from "./feature.ts";
