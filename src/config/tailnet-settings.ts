// Rules for tailnet settings that every tailnet node of ours must keep: the node itself and the node of `cairn bridge NAME`.

import { Fault } from "../lib/fault.ts";
import type { Loaded } from "./load.ts";
import type { Secrets } from "./secrets.ts";

/** Throws Fault `config_invalid` for an OAuth client without tags: nodes that it registers belong to no user. */
export function refuseUntagged(settings: Loaded["settings"], secrets: Secrets): void {
  if (secrets.clientSecret === undefined || settings.tags.length > 0) return;
  throw new Fault("config_invalid", "TS_CLIENT_SECRET needs tags, as such nodes belong to no user", {
    hint: "Set --tags tag:cairn (or CAIRN_TAGS).",
  });
}

/**
 * Throws Fault `config_invalid` unless the control server is plain HTTP on 127.0.0.1, where no real one is.
 * What a private tailnet allows is safe nowhere else.
 */
export function refuseRealControl(controlUrl: string | undefined): void {
  const { protocol, hostname } = URL.canParse(controlUrl ?? "") ? new URL(controlUrl ?? "") : new URL("none://none");
  if (protocol === "http:" && hostname === "127.0.0.1") return;
  throw new Fault(
    "config_invalid",
    `A private tailnet has its control server on 127.0.0.1, and control_url is ${JSON.stringify(controlUrl ?? "")}`,
    {
      hint: "Leave --private-tailnet out, or use `npm start` without a key, which starts such a control server.",
    },
  );
}
