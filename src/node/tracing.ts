// The traces of a node: its tracer and the way to the collector, where the settings name one.

import { buildInfo } from "../config/build-info.ts";
import { namedSecret } from "../config/named-secrets.ts";
import type { Settings } from "../config/settings.ts";
import { secretHeader } from "../config/shapes.ts";
import { counted } from "../lib/counted.ts";
import { Fault } from "../lib/fault.ts";
import type { Conditions } from "../observe/conditions.ts";
import { logFor } from "../observe/logging.ts";
import type { Metrics } from "../observe/metrics.ts";
import { registerSecret } from "../observe/redact.ts";
import { Exporter } from "../observe/trace/exporter.ts";
import { Tracer } from "../observe/trace/tracer.ts";
import type { HostParts } from "../operation/node-parts.ts";

const PATH = "/v1/traces";
/** How long the end of a node waits for its last spans, in ms. */
const CLOSE_MS = 2000;

export interface TracingOptions {
  settings: Settings;
  host: Pick<HostParts, "outbound" | "tailnet" | "env">;
  conditions: Conditions;
  /** Member id of this node; "" while it is unknown. */
  nodeId(): string;
}

/** The traces of a node. */
export interface Tracing {
  tracer: Tracer;
  metrics(metrics: Metrics): void;
  /** Sends what waits. */
  close(): Promise<void>;
}

/**
 * Throws Fault `config_invalid` for an address that cannot be used as the settings say, and for a header whose secret
 * this node has not.
 */
export function refuseTraceSettings(settings: Settings, env: HostParts["env"]): void {
  const url = settings["traces.url"];
  if (url === undefined) return;
  headersOf(settings, env);
  if (settings["traces.tailnet"] !== true || url.startsWith("http:")) return;
  throw new Fault("config_invalid", `traces.tailnet is set, and traces.url is ${url}`, {
    hint: "Name the device with http:// (the tailnet encrypts), or leave traces.tailnet out.",
  });
}

/** Returns the traces of a node; undefined where it has none. Throws Fault `config_invalid`. */
export function openTracing({ settings, host, conditions, nodeId }: TracingOptions): Tracing | undefined {
  const url = settings["traces.url"];
  if (url === undefined) return undefined;
  refuseTraceSettings(settings, host.env);
  const address = addressOf(url);
  const headers = { "content-type": "application/json", "user-agent": "cairn", ...headersOf(settings, host.env) };
  const send = settings["traces.tailnet"] ? host.tailnet : host.outbound;
  const { version } = buildInfo;
  const exporter = new Exporter({
    post: (body, signal) => send(address, { method: "POST", headers, body, signal }),
    resource: () => ({
      attributes: {
        "service.name": settings["traces.service"],
        "service.version": version,
        "service.instance.id": nodeId() || settings.hostname,
        "host.name": settings.hostname,
      },
      scope: { name: "cairn", version },
    }),
    timeoutMs: 1000 * settings["traces.timeout"],
    onState: (problem) => {
      if (problem === "") conditions.clear("traces_not_sent");
      else conditions.raise("traces_not_sent", `${address.host}: ${problem}`);
    },
  });
  const tracer = new Tracer({ ratio: settings["traces.sample_percent"] / 100, sink: (span) => exporter.add(span) });
  return {
    tracer,
    metrics: (metrics) => countSpans(metrics, exporter, tracer),
    close: async () => {
      const before = lostOf(exporter);
      await exporter.close(CLOSE_MS);
      const lost = lostOf(exporter) - before;
      if (lost > 0) logFor("traces")("warning", `${counted(lost, "span")} could not be sent to ${address.host}`);
    },
  };
}

function lostOf({ counts: { failed, dropped } }: Pick<Exporter, "counts">): number {
  return failed + dropped;
}

function addressOf(text: string): URL {
  const url = new URL(text);
  if (!url.pathname.endsWith(PATH)) url.pathname = `${url.pathname.replace(/\/+$/, "")}${PATH}`;
  return url;
}

/** Returns the headers with their secrets. Throws Fault `config_invalid` where one is not set, or is no header. */
function headersOf(settings: Settings, env: HostParts["env"]): Record<string, string> {
  const entries = settings["traces.headers"]
    .flatMap((text) => secretHeader(text) ?? [])
    .map(({ name, scheme, secret }): [string, string] => {
      const value = namedSecret(secret, env);
      registerSecret(value);
      // A collector that says it again may leave out a scheme that is part of the value.
      registerSecret(value.slice(value.lastIndexOf(" ") + 1));
      if (/^[ -~]+$/.test(value)) return [name, `${scheme}${value}`];
      throw new Fault(
        "config_invalid",
        `${secret}, which traces.headers names, has characters that no header can have`,
        {
          hint: "Set it to printable ASCII characters on one line.",
        },
      );
    });
  return Object.fromEntries(entries);
}

function countSpans(metrics: Metrics, { counts }: Pick<Exporter, "counts">, tracer: Tracer): void {
  const help = "Spans by what became of them: sent, refused or not taken by the collector (failed), no room (dropped).";
  metrics.counted("cairn_trace_spans_total", help, ["outcome"], () =>
    Object.entries(counts).map(([outcome, count]) => [[outcome], count] as const),
  );
  const unrecorded = "Calls and deliveries that were not recorded because one caller asked for too many.";
  metrics.counted("cairn_trace_unrecorded_total", unrecorded, [], () => [[[], tracer.unrecorded]]);
}
