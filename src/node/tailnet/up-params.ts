// The parameters with which the Go half joins the tailnet, and the secrets of the sockets between the two halves.

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Loaded } from "../../config/load.ts";
import type { Secrets } from "../../config/secrets.ts";
import { refuseUntagged } from "../../config/tailnet-settings.ts";
import { registerSecret } from "../../observe/redact.ts";
import type { UpParams } from "../../tailnet/index.ts";

/** Returns a secret for one start of a node, registered so that it is redacted wherever it would be written. */
export function newSecret(): string {
  const secret = randomBytes(32).toString("hex");
  registerSecret(secret);
  return secret;
}

/** The start options that the tailnet needs. */
export interface UpOptions {
  loaded: Loaded;
  secrets: Secrets;
  privateTailnet?: boolean;
}

/** Returns the parameters. Fault `config_invalid` for an OAuth secret without tags. */
export function upParams(
  options: UpOptions,
  sockets: { ingressSecret: string; egressSecret: string; target: string; socketDir: string },
): UpParams {
  const { settings } = options.loaded;
  const { authKey, clientSecret, proxyCredentials } = options.secrets;
  const proxy = settings["outbound.proxy"];
  refuseUntagged(settings, options.secrets);
  return {
    stateDir: join(settings.data, "tailnet"),
    hostname: settings.hostname,
    ...(settings.control_url === undefined ? {} : { controlUrl: settings.control_url }),
    ...(authKey === undefined ? {} : { authKey }),
    ...(clientSecret === undefined ? {} : { clientSecret }),
    tags: [...settings.tags],
    ephemeral: settings.ephemeral,
    capability: settings["access.capability"],
    socketDir: sockets.socketDir,
    target: sockets.target,
    ingressSecret: sockets.ingressSecret,
    egressSecret: sockets.egressSecret,
    shared: settings["access.shared"],
    allowedHosts: [...settings["http.allowed_hosts"]],
    allowedOrigins: [...settings["http.allowed_origins"]],
    maxBodyBytes: settings["http.max_body_bytes"],
    outboundAllow: [...settings["outbound.allow"]],
    ...(proxy === undefined ? {} : { outboundProxy: proxy }),
    ...(proxy === undefined || proxyCredentials === undefined ? {} : { outboundProxyAuth: proxyCredentials }),
    ...(options.privateTailnet === true ? { testMode: true } : {}),
  };
}
