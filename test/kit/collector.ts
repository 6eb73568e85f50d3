// A collector of traces on loopback: it takes OTLP over HTTP as JSON, and refuses with 400 what the published mapping
// (opentelemetry-proto, ExportTraceServiceRequest) does not have.

import { z } from "zod";

const hex = (digits: number) =>
  z
    .string()
    .regex(new RegExp(`^[0-9a-f]{${digits}}$`))
    .refine((id) => !/^0+$/.test(id), "must not be all zeros");
/** fixed64 and int64 are decimal texts in JSON. */
const decimal = z.string().regex(/^(0|[1-9][0-9]{0,19})$/);
const flags = z.number().int().min(0).max(0x3ff);
const attributes = z.array(
  z.strictObject({
    key: z.string().min(1),
    value: z.union([
      z.strictObject({ stringValue: z.string() }),
      z.strictObject({ boolValue: z.boolean() }),
      z.strictObject({ intValue: decimal }),
      z.strictObject({ doubleValue: z.number() }),
    ]),
  }),
);
const span = z
  .strictObject({
    traceId: hex(32),
    spanId: hex(16),
    traceState: z.string().min(1).optional(),
    parentSpanId: hex(16).optional(),
    flags,
    name: z.string().min(1),
    kind: z.number().int().min(1).max(5),
    startTimeUnixNano: decimal,
    endTimeUnixNano: decimal,
    attributes,
    links: z
      .array(z.strictObject({ traceId: hex(32), spanId: hex(16), traceState: z.string().optional(), flags }))
      .optional(),
    status: z.strictObject({ code: z.number().int().min(0).max(2), message: z.string().optional() }).optional(),
  })
  .refine(({ startTimeUnixNano, endTimeUnixNano }) => BigInt(startTimeUnixNano) <= BigInt(endTimeUnixNano));
const request = z.strictObject({
  resourceSpans: z.array(
    z.strictObject({
      resource: z.strictObject({ attributes }),
      scopeSpans: z.array(
        z.strictObject({ scope: z.strictObject({ name: z.string(), version: z.string() }), spans: z.array(span) }),
      ),
    }),
  ),
});

/** A span as it came, its attributes by name. */
export interface CollectedSpan extends Omit<z.output<typeof span>, "attributes"> {
  attributes: Record<string, unknown>;
  /** Attributes of the node that sent it. */
  resource: Record<string, unknown>;
}

/** A request as it came. */
export interface CollectedRequest {
  path: string;
  headers: Headers;
  spans: number;
}

/** The collector. */
export class TestCollector implements AsyncDisposable {
  readonly spans: CollectedSpan[] = [];
  readonly requests: CollectedRequest[] = [];
  /** What is wrong with requests that it refused by the mapping. */
  readonly problems: string[] = [];
  /** Answers to the next requests in place of 200, the first one first; the spans of these are not kept. */
  readonly answers: (() => Response | Promise<Response>)[] = [];
  readonly #server: ReturnType<typeof Bun.serve>;

  constructor() {
    this.#server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: (asked) => this.#take(asked) });
  }

  get host(): string {
    return `127.0.0.1:${this.#server.port}`;
  }

  /** Returns the spans of a trace. */
  of(traceId: string): CollectedSpan[] {
    return this.spans.filter((each) => each.traceId === traceId);
  }

  async #take(asked: Request): Promise<Response> {
    const text = await asked.text();
    const parsed = request.safeParse(JSON.parse(text));
    const found = parsed.success ? spansOf(parsed.data) : [];
    const { pathname: path } = new URL(asked.url);
    this.requests.push({ path, headers: asked.headers, spans: found.length });
    const answer = this.answers.shift();
    if (answer !== undefined) return answer();
    const isOurs = asked.method === "POST" && path.endsWith("/v1/traces");
    if (!isOurs || asked.headers.get("content-type") !== "application/json" || !parsed.success) {
      this.problems.push(`${asked.method} ${path} ${parsed.error?.message ?? ""}`);
      return new Response("not OTLP", { status: 400 });
    }
    this.spans.push(...found);
    return Response.json({});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}

function spansOf({ resourceSpans }: z.output<typeof request>): CollectedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((each) => ({
        ...each,
        attributes: valuesOf(each.attributes),
        resource: valuesOf(resource.attributes),
      })),
    ),
  );
}

function valuesOf(list: z.output<typeof attributes>): Record<string, unknown> {
  return Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0]]));
}
