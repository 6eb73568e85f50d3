// The kinds of targets, each made from what was declared; one file a kind.

import type { Target } from "../delivery.ts";
import { makeCallbackTarget } from "./callback.ts";
import { makeContextTarget } from "./context.ts";
import type { TargetConfig } from "./declared.ts";
import { makeGrpcTarget } from "./grpc.ts";
import { makeHttpTarget } from "./http.ts";
import { makeNotifyTarget } from "./notify.ts";
import type { AskAsOwner, TargetParts } from "./parts.ts";
import { makePeerTarget } from "./peer.ts";
import { makeWebhookTarget } from "./webhook.ts";

/** Makes a target. `ask` is for targets within the fleet. */
export function makeTarget(config: TargetConfig, parts: TargetParts, ask: AskAsOwner): Target {
  switch (config.kind) {
    case "http":
      return makeHttpTarget(config, parts);
    case "grpc":
      return makeGrpcTarget(config, parts);
    case "webhook":
      return makeWebhookTarget(config, parts);
    case "notify":
      return makeNotifyTarget(config, parts);
    case "peer":
      return makePeerTarget(config, parts);
    case "callback":
      return makeCallbackTarget(config, parts);
    case "context":
      return makeContextTarget(config, ask);
  }
}
