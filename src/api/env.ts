// What the routes of the API share: the caller that the door proved.

import type { Caller } from "../access/caller.ts";

/** What each request carries beside itself. */
export interface ApiEnv {
  Bindings: { caller: Caller };
}
