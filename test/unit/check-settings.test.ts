// What `cairn config validate` says of secrets that settings name by reference.

import { expect, test } from "bun:test";
import { valuesOf } from "../../src/config/setting.ts";
import { SETTINGS, type Settings } from "../../src/config/settings.ts";
import { checkSettings } from "../../src/node/index.ts";
import { faultOf } from "../kit/refusal.ts";

const NONE = { authKey: undefined, clientSecret: undefined };
const check = (changes: Partial<Settings>, env: Record<string, string> = {}) =>
  checkSettings({ ...valuesOf(SETTINGS, {}), ...changes } as Parameters<typeof checkSettings>[0], NONE, env);

test("a secret of NATS that is not there is a warning: the node starts, and the fleet may have other settings", () => {
  const nats = { "events.nats_credentials": "secret:NATS", "events.nats_ca": "secret:NATS_CA" };
  expect(check(nats)).toEqual([
    "events.nats_credentials: secret:NATS is not set on this node, which reads it from CAIRN_SECRET_NATS; " +
      "until it is set the node cannot use events in NATS",
    expect.stringContaining("events.nats_ca: secret:NATS_CA is not set on this node"),
  ]);
  expect(check(nats, { CAIRN_SECRET_NATS: "cairn:x", CAIRN_SECRET_NATS_CA: "PEM" })).toEqual([]);
  expect(check({})).toEqual([]);
});

test("events in NATS without its address are a warning: a new fleet keeps them itself", () => {
  const said = "events.log is jetstream, and events.nats_url is not set";
  expect(check({ "events.log": "jetstream" })).toEqual([expect.stringContaining(said)]);
  expect(check({ "events.log": "jetstream", "events.nats_url": "nats://127.0.0.1:4222" })).toEqual([]);
});

test("a secret of traces that is not there is refused, as a start refuses it", () => {
  const traces = { "traces.url": "https://otel.example.com", "traces.headers": ["authorization=Bearer secret:OTLP"] };
  const refused = faultOf(() => check(traces));
  expect([refused.code, refused.message]).toEqual(["config_invalid", expect.stringContaining("CAIRN_SECRET_OTLP")]);
  expect(check(traces, { CAIRN_SECRET_OTLP: "a-token" })).toEqual([]);
  // Without an address no header is sent.
  expect(check({ "traces.headers": traces["traces.headers"] })).toEqual([]);
});
