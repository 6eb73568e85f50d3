// What other folders may import from the feature of services.

export { serviceFeature } from "./feature.ts";
