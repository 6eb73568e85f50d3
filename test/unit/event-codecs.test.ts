// Bodies of events over HTTP: every mode of CloudEvents with its corner cases, bare JSON, Argo Events, tas-mcp, and the
// answers with their statuses and fields. What becomes of an event is events.test.ts.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type Events, startEvents } from "../kit/events.ts";

let events: Events;
beforeEach(() => {
  events = startEvents();
});
afterEach(() => events[Symbol.asyncDispose]());

type Json = Record<string, unknown>;

async function post(
  path: string,
  body: string | Uint8Array | Json | readonly unknown[],
  headers: Record<string, string> | [string, string][],
) {
  const bytes = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
  const response = await events.core.http(path, { method: "POST", body: bytes, headers });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: JSON.parse(text) as Json };
}

const type = (value: string, more: Record<string, string> = {}) => ({ "content-type": value, ...more });
const JSON_BODY = type("application/json");
const STRUCTURED = type("application/cloudevents+json");
const BATCH = type("application/cloudevents-batch+json");
const whole = (more: Json = {}) => ({ specversion: "1.0", id: "1", source: "/s", type: "t", ...more });
const CE = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t" };
const newest = async () => (await events.list({ limit: 1 })).events[0];

/** Returns the status, and the field that the refusal names. */
async function refused(...request: Parameters<typeof post>): Promise<unknown[]> {
  const { status, body } = await post(...request);
  return [status, body["field"]];
}

describe("structured mode", () => {
  test("takes an event with extensions and answers with id, cursor and whether it was there", async () => {
    const { status, body } = await post("/events?space=team-a", whole({ data: [1], n: 3, flag: true }), STRUCTURED);
    expect(status).toBe(200);
    expect(body).toEqual({ id: "1", cursor: expect.stringMatching(/-e1$/), duplicate: false });
    expect(await newest()).toMatchObject({ source: "local//s", data: [1], n: 3, flag: true, cairnspace: "team-a" });
    const again = await post("/events?space=team-a", whole(), STRUCTURED);
    expect(again.headers.get("cairn-durability")).toBe("replicated; voters=1; sync=always");
    expect([again.status, again.body]).toEqual([200, { ...body, duplicate: true }]);
  });

  test.each([
    ["no version", { specversion: undefined }, "specversion"],
    ["another version", { specversion: "0.3" }, "specversion"],
    ["no id", { id: undefined }, "id"],
    ["an empty id", { id: "" }, "id"],
    ["a long id", { id: "x".repeat(129) }, "id"],
    ["an id that is no text", { id: 7 }, "id"],
    ["no source", { source: undefined }, "source"],
    ["a source that is no URI reference", { source: "a b" }, "source"],
    ["no type", { type: undefined }, "type"],
    ["an empty subject", { subject: "" }, "subject"],
    ["a control character", { subject: "a\u0007" }, "subject"],
    ["a time that is none", { time: "2026-13-01T00:00:00Z" }, "time"],
    ["a date alone", { time: "2026-11-29" }, "time"],
    ["a media type that is none", { datacontenttype: "json" }, "datacontenttype"],
    ["a media type of two lines", { datacontenttype: "text/plain\r\n;x=1" }, "datacontenttype"],
    ["a media type that no header can have", { datacontenttype: "text/plain; x=\u0000é" }, "datacontenttype"],
    ["data twice", { data: 1, data_base64: "AA==" }, "data_base64"],
    ["bytes that are no base64", { data_base64: "*" }, "data_base64"],
    ["a name in upper case", { Trace: "x" }, "Trace"],
    ["a name with a dash", { "a-b": "x" }, "a-b"],
    ["a long name", { abcdefghijklmnopqrstu: "x" }, "abcdefghijklmnopqrstu"],
    ["an object as extension", { ext: { a: 1 } }, "ext"],
    ["a fraction as extension", { ext: 1.5 }, "ext"],
    ["a number beyond 32 bits", { ext: 2 ** 31 }, "ext"],
  ])("refuses %s and names the field", async (_what, more, field) => {
    expect(await refused("/events", whole(more), STRUCTURED)).toEqual([400, field]);
  });

  test("reads data by its media type: text as text, JSON as a value", async () => {
    await post("/events", whole({ id: "a", data: "<x/>", datacontenttype: "text/xml" }), STRUCTURED);
    expect(await newest()).toMatchObject({ data: "<x/>", datacontenttype: "text/xml" });
    await post("/events", whole({ id: "b", data: "<x/>", datacontenttype: "application/vnd.x+json" }), STRUCTURED);
    expect(events.core.store.reader.get("SELECT kind, data FROM events WHERE id = 'b'")).toEqual({
      kind: "json",
      data: '"<x/>"',
    });
  });

  test("takes upper-case media types with parameters, and no other format than JSON", async () => {
    expect((await post("/events", whole(), type("Application/CloudEvents+JSON; charset=UTF-8"))).status).toBe(200);
    expect((await refused("/events", "x", type("application/cloudevents+avro")))[0]).toBe(415);
  });

  test("refuses what JSON by callers may not be", async () => {
    const twice = '{"specversion":"1.0","id":"1","id":"2","source":"s","type":"t"}';
    expect((await post("/events", twice, STRUCTURED)).status).toBe(400);
    const deep = `{"specversion":"1.0","id":"1","source":"s","type":"t","data":${"[".repeat(70)}${"]".repeat(70)}}`;
    expect((await post("/events", deep, STRUCTURED)).status).toBe(400);
    expect((await post("/events", new Uint8Array([0x22, 0xc3, 0x28, 0x22]), STRUCTURED)).status).toBe(400);
    expect((await post("/events", "[", STRUCTURED)).status).toBe(400);
    expect((await post("/events", "7", STRUCTURED)).status).toBe(400);
  });
});

describe("binary mode", () => {
  test("takes attributes from headers and data from the body", async () => {
    const headers = { ...CE, "ce-subject": "main", "ce-traceid": "7", "content-type": "application/json" };
    expect((await post("/events", '{"n":1}', headers)).status).toBe(200);
    expect(await newest()).toMatchObject({ id: "1", subject: "main", traceid: "7", data: { n: 1 } });
    await post("/events", "plain ✓", { ...CE, "ce-id": "2", "content-type": "text/plain" });
    expect(await newest()).toMatchObject({ data: "plain ✓", datacontenttype: "text/plain" });
    await post("/events", new Uint8Array([0, 255]), { ...CE, "ce-id": "3", "content-type": "application/x-bytes" });
    expect(await newest()).toMatchObject({ data_base64: "AP8=", datacontenttype: "application/x-bytes" });
    await post("/events", "", { ...CE, "ce-id": "4", "content-type": "application/json" });
    expect(await newest()).not.toHaveProperty("data");
  });

  test.each([
    ["Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"],
    ["%25E2", "%E2"],
    ['"a b \\"c\\""', 'a b "c"'],
    ['"%22x%22"', '"x"'],
    ["100%", "100%"],
  ])("decodes %s once, quotes first", async (value, decoded) => {
    await post("/events", "1", { ...CE, "ce-subject": value, "content-type": "application/json" });
    expect((await newest())?.["subject"]).toBe(decoded);
  });

  test.each([
    ["bytes that are no UTF-8", { "ce-subject": "%C0%A0" }, "subject"],
    ["its media type in ce-datacontenttype", { "ce-datacontenttype": "text/plain" }, "datacontenttype"],
    ["data in a header", { "ce-data": "x" }, "data"],
    ["no version", { "ce-specversion": undefined }, "specversion"],
    ["no type", { "ce-type": undefined }, "type"],
  ])("refuses %s", async (_what, more, field) => {
    const headers = Object.entries({ ...CE, "content-type": "application/json", ...more }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    );
    expect(await refused("/events", "1", headers)).toEqual([400, field]);
  });

  test("refuses data that is not what its media type says", async () => {
    expect((await post("/events", "{", { ...CE, "content-type": "application/json" })).status).toBe(400);
    expect((await post("/events", new Uint8Array([255]), { ...CE, "content-type": "text/plain" })).status).toBe(400);
  });
});

describe("batch mode", () => {
  test("is recognised before structured mode, at both routes, with one outcome for each event", async () => {
    for (const path of ["/events", "/events/batch"]) {
      const list = [
        whole({ id: `${path}1` }),
        whole({ id: `${path}2`, type: undefined }),
        7,
        whole({ id: `${path}3` }),
      ];
      const { status, body } = await post(path, list, BATCH);
      const results = body["results"] as Json[];
      expect(status).toBe(200);
      expect(results.map(({ error }) => (error as Json | undefined)?.["field"])).toEqual([
        ...[undefined, "type", "event", undefined],
      ]);
      expect(results[1]?.["id"]).toBe(`${path}2`);
    }
  });

  test("may be empty, and has at most 1,000 events", async () => {
    expect((await post("/events/batch", [], BATCH)).body).toMatchObject({ results: [] });
    const many = Array.from({ length: 1001 }, (_, id) => whole({ id: String(id) }));
    expect((await post("/events/batch", many, BATCH)).status).toBe(413);
    expect((await post("/events/batch", whole(), BATCH)).status).toBe(400);
  });
});

describe("bare JSON", () => {
  test("is the arguments of event_publish, one or a list", async () => {
    const { body } = await post("/events", { type: "t", data: 1, extensions: { a: "b" } }, JSON_BODY);
    expect(body).toMatchObject({ duplicate: false });
    expect(await newest()).toMatchObject({ a: "b", data: 1, source: "local/self" });
    const listed = await post("/events/batch", [{ type: "t" }, {}], JSON_BODY);
    expect((listed.body["results"] as Json[]).map(({ error }) => (error as Json)?.["field"])).toEqual([
      undefined,
      "type",
    ]);
    expect(((await post("/events", [{ type: "t" }], JSON_BODY)).body["results"] as Json[]).length).toBe(1);
  });

  test("may be what Argo Events dispatches", async () => {
    const context = { ...whole(), subject: "", time: "2026-11-29T16:31:00Z", datacontenttype: "application/json" };
    expect((await post("/events", { context, data: { body: { a: 1 } } }, JSON_BODY)).status).toBe(200);
    expect(await newest()).toMatchObject({ id: "1", source: "local//s", data: { body: { a: 1 } } });
    const { id: _, ...lacking } = context;
    expect(await refused("/events", { context: lacking, data: 1 }, JSON_BODY)).toEqual([400, "id"]);
  });

  test("of another media type is 415, of too many bytes 413", async () => {
    expect((await post("/events", "type=t", type("application/x-www-form-urlencoded"))).status).toBe(415);
    expect((await post("/events", "x", {})).status).toBe(415);
    const large = await post("/events", { type: "t", data: "x".repeat(1024 * 1024) }, JSON_BODY);
    expect([large.status, large.body["field"]]).toEqual([413, "data"]);
  });
});

describe("tas-mcp", () => {
  const tas = (more: Json = {}) => ({ event_id: "e1", event_type: "t", source: "s", data: '{"a":1}', ...more });

  test("a refusal shows an event that is taken, in the form that was sent", async () => {
    const example = async (path: string) => {
      const { body } = await post(path, { type: "" }, JSON_BODY);
      const [shown = ""] = /(?<=^A complete event: )\{.*\}$/s.exec(String(body["hint"])) ?? [];
      return (await post(path, shown, JSON_BODY)).status;
    };
    expect(await example("/api/v1/events")).toBe(200);
    expect(await example("/events")).toBe(200);
  });

  test("takes its six fields; timestamps are seconds and data is JSON as text", async () => {
    const metadata = { region: "eu", "Not-A-Name": "x", cairncaller: "y", id: "z" };
    const { status, body } = await post("/api/v1/events", tas({ timestamp: 1_700_000_001, metadata }), JSON_BODY);
    expect([status, body]).toEqual([200, { event_id: "e1", status: "accepted" }]);
    expect(await newest()).toMatchObject({
      ...{ id: "e1", source: "local/s", time: "2023-11-14T22:13:21.000Z", data: { a: 1 }, region: "eu" },
      tasmetadata: '{"Not-A-Name":"x","cairncaller":"y","id":"z"}',
    });
  });

  test.each([
    ["event_id", { event_id: "" }],
    ["event_type", { event_type: undefined }],
    ["source", { source: undefined }],
    ["data", { data: "" }],
    ["data", { data: "{" }],
    ["timestamp", { timestamp: "now" }],
    ["metadata", { metadata: { a: 1 } }],
    ["extra", { extra: 1 }],
    ["id", { event_id: "x".repeat(129) }],
  ])("refuses a wrong %s with 400 and its name", async (field, more) => {
    expect(await refused("/api/v1/events", tas(more), JSON_BODY)).toEqual([400, field]);
  });

  test("takes a list with one outcome each; an empty one is 400, more than 1,000 are 413", async () => {
    const { body } = await post("/api/v1/events/batch", [tas(), tas({ event_id: "e2", data: "{" }), 7], JSON_BODY);
    expect(body).toEqual({
      processed: 3,
      results: [
        { event_id: "e1", status: "accepted" },
        { event_id: "e2", status: "error", error: expect.stringContaining("data must be JSON") },
        { event_id: "", status: "error", error: "An event must be a JSON object" },
      ],
    });
    expect((await post("/api/v1/events/batch", [], JSON_BODY)).status).toBe(400);
    const many = Array.from({ length: 1001 }, (_, id) => tas({ event_id: String(id) }));
    expect((await post("/api/v1/events/batch", many, JSON_BODY)).status).toBe(413);
  });
});

test("a quota is 429 with Retry-After over HTTP", async () => {
  await events[Symbol.asyncDispose]();
  events = startEvents({ events: { callerBytes: 1000 } });
  const large = { type: "t", data: "x".repeat(2000) };
  const { status, headers, body } = await post("/events", large, JSON_BODY);
  expect([status, headers.get("retry-after"), body["code"]]).toEqual([429, "60", "rate_limited"]);
});
