// A check by HTTP: one GET over the checked way out, and what its answer must say.

import { counted } from "../../../lib/counted.ts";
import { memberOf } from "../../../lib/json-object.ts";
import { formatPointer, parsePointer } from "../../../lib/json-pointer.ts";
import { jsonEqual } from "../../../lib/json-value.ts";
import { readBeginning } from "../../../lib/response-parts.ts";
import { shownValue } from "../../../lib/schema-issue.ts";
import { timeOf } from "../../../lib/time-of.ts";
import { redactText } from "../../../observe/redact.ts";
import type { ProbeShape } from "../declared.ts";
import type { CheckParts, Found } from "./parts.ts";

/** Bytes of a body that are read. */
const BODY_BYTES = 256 * 1024;
const DAY_MS = 86_400_000;
/** Set by the Go half where TLS was used: when the certificate of the other side ends, RFC 3339. */
export const CERTIFICATE_HEADER = "cairn-internal-certificate-ends";
const SECRET_AT_END = /(?:^|[ ])(secret:[A-Z][A-Z0-9_]{0,63})$/;

/** Checks by HTTP. Rejects where nothing answers. */
export async function checkHttp(probe: ProbeShape, parts: CheckParts, signal: AbortSignal): Promise<Found> {
  const beganMs = parts.monotonicMs();
  const send = probe.network === "tailnet" ? parts.tailnet : parts.outbound;
  const headers = { "user-agent": "cairn", accept: "*/*", ...headersOf(probe, parts) };
  const response = await send(new URL(probe.target ?? ""), { method: "GET", headers, signal });
  const { contains, json } = probe.expect;
  const needsBody = contains !== undefined || json !== undefined || probe.value !== undefined;
  const body = (await readBeginning(response, needsBody ? BODY_BYTES : 1, signal)).subarray(0, BODY_BYTES);
  // What came of the body until then is no answer.
  signal.throwIfAborted();
  const latencyMs = Math.round(parts.monotonicMs() - beganMs);
  const found = { reached: true, latencyMs };
  const text = body.toString("utf8");
  const value = measured(probe, text);
  const problem =
    statusProblem(probe, response.status) ??
    bodyProblem(probe, text) ??
    (typeof value === "string" ? value : undefined) ??
    certificateProblem(probe, response, parts.nowMs()) ??
    latencyProblem(probe, latencyMs);
  return {
    ...found,
    good: problem === undefined,
    detail: problem ?? `status ${response.status}`,
    value: typeof value === "number" ? value : undefined,
  };
}

/** Returns what is wrong with a body. */
export function bodyProblem(probe: ProbeShape, text: string): string | undefined {
  const { contains, json } = probe.expect;
  if (contains !== undefined && !text.includes(contains)) return `the body lacks ${JSON.stringify(contains)}`;
  return json === undefined ? undefined : jsonProblem(probe, jsonIn(text));
}

/** Returns the number that a probe measures in a body; undefined: it measures none; a text: why there is none. */
export function measured({ value }: ProbeShape, text: string): number | string | undefined {
  return value === undefined ? undefined : numberAt(jsonIn(text), value);
}

/** Returns what is wrong with the time that an answer took. */
export function latencyProblem({ expect }: ProbeShape, latencyMs: number): string | undefined {
  if (expect.latency_ms === undefined || latencyMs <= expect.latency_ms) return undefined;
  return `it took ${latencyMs} ms; at most ${expect.latency_ms} are expected`;
}

function headersOf({ headers = {} }: ProbeShape, { readSecret }: CheckParts): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => {
      const reference = SECRET_AT_END.exec(value)?.[1];
      if (reference === undefined) return [name, value];
      return [name, value.slice(0, value.length - reference.length) + readSecret(reference)];
    }),
  );
}

function statusProblem({ expect }: ProbeShape, status: number): string | undefined {
  const wanted = expect.status ?? ["2xx", "3xx"];
  const fits = wanted.some((each) =>
    typeof each === "number" ? each === status : each[0] === String(Math.floor(status / 100)),
  );
  return fits ? undefined : `status ${status}; expected is ${wanted.join(", ")}`;
}

function jsonIn(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

function at(parsed: { value: unknown }, path: string): unknown {
  return parsePointer(path).reduce<unknown>(memberOf, parsed.value);
}

function numberAt(parsed: { value: unknown } | undefined, path: string): number | string {
  if (parsed === undefined) return "the body is no JSON, or longer than 256 KiB";
  const found = at(parsed, path);
  return typeof found === "number" ? found : `${path} is no number; it is ${shownWithoutSecrets(found)}`;
}

function shownWithoutSecrets(value: unknown): string {
  return shownValue(value, redactText);
}

function jsonProblem({ expect }: ProbeShape, parsed: { value: unknown } | undefined): string | undefined {
  if (expect.json === undefined) return undefined;
  if (parsed === undefined) return "the body is no JSON, or longer than 256 KiB";
  for (const { path, equals, above, below } of expect.json) {
    const found = at(parsed, path);
    const place = formatPointer(parsePointer(path));
    const shown = shownWithoutSecrets(found);
    if (found === undefined) return `the JSON has no ${place}`;
    if (equals !== undefined && !jsonEqual(found, equals))
      return `${place} is ${shown}; expected is ${shownWithoutSecrets(equals)}`;
    if ((above !== undefined || below !== undefined) && typeof found !== "number")
      return `${place} is no number but ${shown}`;
    if (above !== undefined && Number(found) <= above) return `${place} is ${shown}; expected is above ${above}`;
    if (below !== undefined && Number(found) >= below) return `${place} is ${shown}; expected is below ${below}`;
  }
  return undefined;
}

function certificateProblem({ expect }: ProbeShape, { headers }: Response, nowMs: number): string | undefined {
  if (expect.certificate_days === undefined) return undefined;
  const ends = Date.parse(headers.get(CERTIFICATE_HEADER) ?? "");
  if (Number.isNaN(ends)) return "nothing is known of its certificate";
  const days = Math.floor((ends - nowMs) / DAY_MS);
  if (days >= expect.certificate_days) return undefined;
  if (days < 0) return `its certificate has ended, on ${timeOf(ends)}`;
  return `its certificate ends in ${counted(days, "day")}; expected are ${expect.certificate_days} or more`;
}
