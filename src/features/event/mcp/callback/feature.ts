// The manifest of callbacks: subscriptions of MCP Events whose address their client chose.

import type { Feature } from "../../../../operation/feature.ts";
import { callbackSubscribe } from "./subscribe.ts";
import { callbackVerify } from "./verify.ts";
import { callbackEnd, callbackGrant, callbacksExpiring } from "./writes.ts";

/** The manifest. Its rows are those of subscriptions. */
export const callbackFeature: Feature = {
  name: "callback",
  operations: (node) => [callbackVerify(node), callbackGrant, callbackEnd, callbackSubscribe, callbacksExpiring.write],
  expires: [callbacksExpiring],
};
