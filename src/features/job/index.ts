// What other folders may import from the feature of jobs.

export { jobFeature } from "./feature.ts";
