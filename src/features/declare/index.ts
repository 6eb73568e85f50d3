// What other folders may import from the feature of declarations.

export { MAX_APPLIED } from "./apply.ts";
export { declareFeature } from "./feature.ts";
export { Keeper } from "./keeper.ts";
