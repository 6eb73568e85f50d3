// The pages over a core, without a listener.

import { FEATURES } from "../../src/features/index.ts";
import { createWeb } from "../../src/web/index.ts";
import type { Core } from "./core.ts";

/** Makes the pages of all features over a core; that of the fleet needs a whole node, so name features to have it. */
export const webOver = (core: Core, options: Partial<Parameters<typeof createWeb>[0]> = {}) =>
  createWeb({
    invoker: core.invoker,
    features: FEATURES.filter(({ name }) => name !== "fleet"),
    version: "0.0.0-test",
    secureUrl: () => undefined,
    nowMs: Date.now,
    onUnexpected: String,
    ...options,
  });
