// Checks of probes without a fleet: what is at fault, certificates, connections, names, and secrets in headers.

import { expect, test } from "bun:test";
import { Duplex } from "node:stream";
import { check, type OwnNetwork } from "../../src/features/probe/check/check.ts";
import { CERTIFICATE_HEADER } from "../../src/features/probe/check/http.ts";
import type { CheckParts } from "../../src/features/probe/check/parts.ts";
import { probeShape } from "../../src/features/probe/declared.ts";
import { noOutbound, refusedBy } from "../../src/node/tailnet/outbound.ts";
import { registerSecret } from "../../src/observe/redact.ts";
import type { SeenMember } from "../../src/operation/surroundings.ts";

const NOW_MS = Date.parse("2026-11-30T12:00:00Z");
const CONNECTED: OwnNetwork = { control: true, othersReached: false };
const never = () => Promise.reject(new Error("not used"));

const member = (name: string, more: Partial<SeenMember> = {}): SeenMember => ({
  ...{ node: `n-${name}`, name, self: false, away: false, roundTripMs: 3, labels: [], sleeps: false },
  ...more,
});

function checked(probe: object, parts: Partial<CheckParts>, network: OwnNetwork = CONNECTED, signal?: AbortSignal) {
  const all: CheckParts = {
    ...{ outbound: never, tailnet: never, connections: { open: never, roots: () => [] } },
    ...{
      run: never,
      agrees: () => true,
      readSecret: (reference) => `<${reference}>`,
      resolve: never,
      members: () => [],
      missing: never,
    },
    ...{ nowMs: () => NOW_MS, monotonicMs: () => 0 },
    ...parts,
  };
  return check(probeShape.parse(probe), all, () => network, signal ?? new AbortController().signal);
}

test.each<[string, unknown]>([
  ["where a value is cut", `${"x".repeat(60)}SECRET`],
  ["among other members", { session: "SECRET", more: "x".repeat(200) }],
])("a secret that a service repeats is not shown in part: %s", async (_what, found) => {
  const secret = 'a "long" secret\nof two lines, as a key has them, of a probe';
  registerSecret(secret);
  const body = JSON.stringify({ a: found }).replace("SECRET", JSON.stringify(secret).slice(1, -1));
  const probe = { type: "http", target: "https://example.com/", expect: { json: [{ path: "/a", equals: 1 }] } };
  const { detail } = await checked(probe, { outbound: async () => new Response(body) });
  expect(detail).toContain("[redacted]");
  for (const part of ["long", "secret", "two lines"]) expect(detail).not.toContain(part);
  const command = { type: "command", command: ["x"] };
  const stderr = `${"y".repeat(250)} ${secret}`;
  const run = async () => ({ code: 1, stdout: "", stderr, latencyMs: 1 });
  expect((await checked(command, { run })).detail).not.toContain("two lines");
});

const HTTPS = { type: "http", target: "https://example.com/health", expect: { certificate_days: 14 } };

test.each<[string | undefined, string, string]>([
  ["2026-12-20T12:00:00Z", "good", "status 200"],
  ["2026-12-14T12:00:00Z", "good", "status 200"],
  ["2026-12-14T11:59:59Z", "bad", "its certificate ends in 13 days; expected are 14 or more"],
  ["2026-11-29T12:00:00Z", "bad", "its certificate has ended, on 2026-11-29T12:00:00.000Z"],
  ["soon", "bad", "nothing is known of its certificate"],
  [undefined, "bad", "nothing is known of its certificate"],
])("a certificate until %p is %s", async (ends, outcome, detail) => {
  const outbound = async () => new Response("", ends === undefined ? {} : { headers: { [CERTIFICATE_HEADER]: ends } });
  expect(await checked(HTTPS, { outbound })).toMatchObject({ outcome, detail });
});

test("a header gets its secret, and the text that a service sends is one line without secrets", async () => {
  const sent: Record<string, string>[] = [];
  const probe = {
    ...{
      type: "http",
      target: "https://example.com/",
      network: "tailnet",
      expect: { json: [{ path: "/a", equals: 1 }] },
    },
    headers: { authorization: "Bearer secret:API", "x-plain": "secretive", "x-key": "secret:KEY" },
  };
  const tailnet: CheckParts["tailnet"] = async (_url, { headers }) => {
    sent.push(headers);
    return new Response(JSON.stringify({ a: "two\nlines\u001b[31m" }));
  };
  const { detail } = await checked(probe, { tailnet });
  expect(sent).toMatchObject([
    { authorization: "Bearer <secret:API>", "x-plain": "secretive", "x-key": "<secret:KEY>" },
  ]);
  expect(detail).toBe('/a is "two\\nlines\\u001b[31m"; expected is 1');
  const failed = await checked(
    { ...probe, headers: { "x-key": "secret:KEY" } },
    {
      readSecret: () => {
        throw new Error("secret:KEY is not set");
      },
    },
  );
  expect(failed).toMatchObject({ outcome: "bad", detail: "secret:KEY is not set" });
});

const failing = (message: string) => () => Promise.reject(new Error(message));
const OUT = { type: "http", target: "https://example.com/" };
const IN = { type: "http", target: "http://pi.tail.ts.net/", network: "tailnet" };
const SELF = member("a", { self: true });

test.each<[string, object, Partial<CheckParts>, OwnNetwork, string]>([
  ["a refused connection", OUT, { outbound: failing("connection refused") }, CONNECTED, "bad service"],
  [
    "an address that the settings of this node do not name",
    OUT,
    { outbound: () => Promise.reject(refusedBy("outbound_refused", "", "example.com")) },
    CONNECTED,
    "blind consent",
  ],
  [
    "a name that is not found",
    OUT,
    { outbound: () => Promise.reject(refusedBy("dial_failed", "", "example.com")) },
    CONNECTED,
    "bad path",
  ],
  ["a development node", OUT, { outbound: noOutbound }, CONNECTED, "blind consent"],
  ["no way there", OUT, { outbound: failing("no route to host") }, CONNECTED, "bad path"],
  ["all is cut off", OUT, { outbound: failing("x") }, { control: false, othersReached: false }, "blind network"],
  ["control alone is away", OUT, { outbound: failing("x") }, { control: false, othersReached: true }, "bad path"],
  [
    "no control server there is",
    OUT,
    { outbound: failing("x") },
    { control: undefined, othersReached: false },
    "bad path",
  ],
  [
    "a member that is away",
    IN,
    { tailnet: failing("x"), members: () => [SELF, member("pi", { away: true }), member("c")] },
    CONNECTED,
    "bad machine",
  ],
  [
    "a member that is heard",
    IN,
    { tailnet: failing("x"), members: () => [SELF, member("pi"), member("c")] },
    CONNECTED,
    "bad path",
  ],
  [
    "without control, members are heard",
    IN,
    { tailnet: failing("x"), members: () => [SELF, member("pi")] },
    { control: false, othersReached: false },
    "bad control",
  ],
  [
    "nobody is heard",
    IN,
    { tailnet: failing("x"), members: () => [SELF, member("pi", { away: true }), member("c", { away: true })] },
    CONNECTED,
    "blind network",
  ],
  [
    "alone without control",
    IN,
    { tailnet: failing("x"), members: () => [SELF] },
    { control: false, othersReached: true },
    "blind control",
  ],
])("%s", async (_what, probe, parts, network, expected) => {
  const { outcome, cause } = await checked(probe, parts, network);
  expect(`${outcome} ${cause}`).toBe(expected);
});

test("a connection is opened and closed; a name has to have its address", async () => {
  let destroyed = 0;
  let opened: unknown;
  const connection = new Duplex({
    read() {},
    destroy(error, done) {
      destroyed += 1;
      done(error);
    },
  });
  const open = async (to: unknown) => {
    opened = to;
    return connection;
  };
  const tcp = { type: "tcp", target: "[fd00::1]:5432", tls: true };
  expect(await checked(tcp, { connections: { open, roots: () => [] } })).toMatchObject({ outcome: "good" });
  expect([opened, destroyed]).toEqual([{ host: "fd00::1", port: 5432, secure: true, network: "host" }, 1]);
  await checked({ type: "tcp", target: "mini:5432", network: "tailnet" }, { connections: { open, roots: () => [] } });
  expect(opened).toEqual({ host: "mini", port: 5432, secure: false, network: "tailnet" });
  const dns = (address?: string) => ({ type: "dns", target: "example.com", expect: address ? { address } : {} });
  const resolve = async () => ["192.0.2.1", "192.0.2.2"];
  expect(await checked(dns(), { resolve })).toMatchObject({ outcome: "good", detail: "192.0.2.1, 192.0.2.2" });
  expect(await checked(dns("192.0.2.2"), { resolve })).toMatchObject({ outcome: "good" });
  expect(await checked(dns("192.0.2.9"), { resolve })).toMatchObject({
    outcome: "bad",
    detail: "A is 192.0.2.1, 192.0.2.2; expected is 192.0.2.9",
  });
  expect(await checked(dns(), { resolve: async () => [] })).toMatchObject({ outcome: "bad", detail: "A is empty" });
});

test("a member is judged by its beats; one that nobody knows is no member", async () => {
  const ping = (target: string) => ({ type: "ping", target, expect: { latency_ms: 10 } });
  const members = () => [SELF, member("pi"), member("slow", { roundTripMs: 80 }), member("gone", { away: true })];
  const missing = async () => ({ missing: 0, asked: 0 });
  expect(await checked(ping("pi"), { members })).toMatchObject({ outcome: "good", latencyMs: 3 });
  expect(await checked(ping("a"), { members })).toMatchObject({ outcome: "good" });
  expect(await checked(ping("slow"), { members })).toMatchObject({ outcome: "bad", cause: "service" });
  expect(await checked(ping("none"), { members })).toMatchObject({ outcome: "bad", detail: "there is no member none" });
  expect(await checked(ping("gone"), { members, missing })).toMatchObject({ outcome: "bad", cause: "machine" });
});

test("a check ends with its node", async () => {
  const ending = new AbortController();
  const outbound: CheckParts["outbound"] = (_url, { signal }) =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const running = checked(OUT, { outbound }, CONNECTED, ending.signal);
  ending.abort(new Error("the node stops"));
  await expect(running).rejects.toThrow("the node stops");
});
