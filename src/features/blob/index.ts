// What other folders may use of blobs.

export { MAX_COPIES } from "./arguments.ts";
export { BlobFolder } from "./blob-folder.ts";
export { BLOBS, Blobs } from "./blobs.ts";
export { blobConditions } from "./conditions.ts";
export { blobFeature } from "./feature.ts";
export { KeepCopies } from "./keep-copies.ts";
export { BlobSweep } from "./sweep.ts";
