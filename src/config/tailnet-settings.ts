// Checks of tailnet settings, for the node itself and for the tailnet node of `cairn bridge NAME`.

import { Fault } from "../lib/fault.ts";
import type { Loaded } from "./load.ts";
import type { Secrets } from "./secrets.ts";

/** Throws Fault `config_invalid` for an OAuth client without tags: a node that it registers belongs to no user. */
export function refuseUntagged(settings: Loaded["settings"], secrets: Secrets): void {
  if (secrets.clientSecret === undefined || settings.tags.length > 0) return;
  throw new Fault("config_invalid", "TS_CLIENT_SECRET needs tags, because such a node belongs to no user", {
    hint: "Set --tags tag:cairn (or CAIRN_TAGS).",
  });
}

/**
 * Throws Fault `config_invalid` unless the control server is plain HTTP on 127.0.0.1, where no real one runs: a private
 * tailnet relaxes checks that a real one needs.
 */
export function refuseRealControl(controlUrl: string | undefined): void {
  const { protocol, hostname } = URL.canParse(controlUrl ?? "") ? new URL(controlUrl ?? "") : new URL("none://none");
  if (protocol === "http:" && hostname === "127.0.0.1") return;
  throw new Fault(
    "config_invalid",
    `A private tailnet has its control server on 127.0.0.1, but control_url is ${JSON.stringify(controlUrl ?? "")}`,
    { hint: "Leave out --private-tailnet, or use `npm start` without a key, which starts such a control server." },
  );
}
