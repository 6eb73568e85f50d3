// Joining a tailnet as seen by the node: logins, refused keys, expiry, a control server away and back. The tailnet here
// only plays events.

import { beforeEach, expect, test } from "bun:test";
import { Fault } from "../../src/lib/fault.ts";
import { TailnetSession, type TailnetSessionOptions } from "../../src/node/tailnet/tailnet-session.ts";
import { Conditions } from "../../src/observe/conditions.ts";
import type { UpParams } from "../../src/tailnet/index.ts";
import { eventually } from "../kit/eventually.ts";
import { Played, status } from "../kit/played-tailnet.ts";

const DAY_MS = 86_400_000;
const NOW_MS = Date.parse("2026-06-01T00:00:00Z");

const KEYED = { params: { controlUrl: "http://control.example", authKey: "tskey-auth-x" } as UpParams };

let tailnet: Played;
let conditions: Conditions;
let said: string[];
let session: TailnetSession;

function join(changes: Partial<TailnetSessionOptions> = {}): TailnetSession {
  session = new TailnetSession({
    tailnet,
    params: { controlUrl: "http://control.example" } as UpParams,
    hasState: false,
    conditions,
    log: () => {},
    nowMs: () => NOW_MS,
    refusedKeyGraceMs: 5,
    onServing: (status) => said.push(`serving ${status.self?.dnsName}`),
    onWaiting: () => said.push("waiting"),
    onLoginUrl: (url) => said.push(`login ${url}`),
    onFatal: (fault) => said.push(`fatal ${fault.code}`),
    ...changes,
  });
  return session;
}

const codes = (): string[] => conditions.list().map(({ code }) => code);
/** Lets what an event started come to rest: everything played here answers at once. */
const settled = (): Promise<void> => Bun.sleep(0);

beforeEach(() => {
  tailnet = new Played(() => {});
  conditions = new Conditions(() => {});
  said = [];
});

test("a node that runs listens on port 80 and says so once", async () => {
  await join().up();
  expect(codes()).toEqual(["starting"]);
  tailnet.play("state", status("Running"));
  tailnet.play("state", status("Running"));
  await settled();
  expect(tailnet.listening).toEqual(["80"]);
  expect(said).toEqual(["serving cairn.t.ts.net"]);
  expect(codes()).toEqual([]);
});

test("a port that cannot be opened is a condition, no serving, and tried again", async () => {
  tailnet.listenFailures = 2;
  await join({ listenAgainMs: 1 }).up();
  tailnet.play("state", status("Running"));
  await settled();
  expect(codes()).toEqual(["not_listening"]);
  expect(said).toEqual(["waiting"]);
  await eventually("the port to be open", () => said.length === 3);
  expect(said).toEqual(["waiting", "waiting", "serving cairn.t.ts.net"]);
  expect(tailnet.listening).toEqual(["80"]);
  expect(codes()).toEqual([]);
});

test("certificates that come later open 443 and are reported", async () => {
  await join().up();
  tailnet.play("state", status("Running"));
  await settled();
  tailnet.play("state", status("Running", { https: true, domains: ["cairn.t.ts.net"] }));
  await settled();
  expect(tailnet.listening).toEqual(["80", "443 tls"]);
  expect(said).toEqual(["serving cairn.t.ts.net", "serving cairn.t.ts.net"]);
});

test("without a key the login URL is shown, and serving follows without a restart", async () => {
  await join().up();
  tailnet.play("login", "https://login.example/a/1");
  expect(said).toEqual(["login https://login.example/a/1"]);
  expect(session.loginUrl()).toBe("https://login.example/a/1");
  expect(codes()).toContain("needs_login");
  tailnet.play("state", status("Running"));
  await settled();
  expect(session.loginUrl()).toBeUndefined();
  expect(codes()).toEqual([]);
});

test("a refused key ends a node that was never on a tailnet", async () => {
  await join(KEYED).up();
  tailnet.play("authFailed", "invalid key");
  expect(said).toEqual(["fatal auth_key"]);
});

test("a refused key that `up` itself reports ends it too", async () => {
  tailnet.upFault = new Fault("auth_key", "invalid key");
  await join(KEYED).up();
  expect(said).toEqual(["fatal auth_key"]);
});

test("any other failure of `up` is thrown", async () => {
  tailnet.upFault = new Fault("tailnet_failed", "no");
  expect(
    await join()
      .up()
      .catch((error: Fault) => error.code),
  ).toBe("tailnet_failed");
});

test("a refused key does not end a node that runs by its state", async () => {
  await join({ ...KEYED, hasState: true, refusedKeyGraceMs: 60_000 }).up();
  tailnet.play("authFailed", "invalid key");
  tailnet.play("state", status("Running"));
  await settled();
  expect(said).toEqual(["serving cairn.t.ts.net"]);
  tailnet.play("authFailed", "invalid key");
  expect(codes()).toEqual(["auth_key_refused"]);
  expect(said).toEqual(["serving cairn.t.ts.net"]);
});

test("a node with old state that does not come to run is ended by the refused key after a grace", async () => {
  const ended = Promise.withResolvers<string>();
  await join({ ...KEYED, hasState: true, onFatal: (fault) => ended.resolve(fault.code) }).up();
  tailnet.play("authFailed", "invalid key");
  expect(await ended.promise).toBe("auth_key");
});

test("a control server that is away is a condition, before and after the join, and never ends the node", async () => {
  await join().up();
  tailnet.play("state", status("NoState", { control: "unreachable", self: null }));
  expect(codes()).toContain("control_unreachable");
  expect(conditions.list().find(({ code }) => code === "control_unreachable")?.text).toContain(
    "http://control.example",
  );
  expect(said).toEqual(["waiting"]);
  tailnet.play("state", status("Running"));
  await settled();
  expect(codes()).toEqual([]);
  tailnet.play("state", status("Running", { control: "unreachable" }));
  await settled();
  expect(codes()).toEqual(["control_unreachable"]);
  expect(said).toEqual(["waiting", "serving cairn.t.ts.net"]);
});

test.each([
  [15, []],
  [13.5, ["key_expires_soon"]],
  [0.5, ["key_expires_soon"]],
] as const)("a node key with %p days left", async (days, expected) => {
  await join().up();
  tailnet.play("state", status("Running", {}, { keyExpiry: new Date(NOW_MS + days * DAY_MS).toISOString() }));
  await settled();
  expect(codes()).toEqual([...expected]);
});

test("an expired node key asks for a login once, and a new login ends it without a restart", async () => {
  await join().up();
  tailnet.play("state", status("Running"));
  const expired = status("NeedsLogin", {}, { keyExpiry: new Date(NOW_MS - 1000).toISOString(), keyExpired: true });
  tailnet.play("state", expired);
  tailnet.play("state", expired);
  await settled();
  expect(tailnet.logins).toEqual([undefined]);
  expect(codes()).toContain("key_expired");
  tailnet.play("login", "https://login.example/a/2");
  expect(said.at(-1)).toBe("login https://login.example/a/2");
  tailnet.play("state", status("Running"));
  await settled();
  expect(codes()).toEqual([]);
  tailnet.play("state", expired);
  expect(tailnet.logins).toHaveLength(2);
});

test.each(["by an event", "by the call"])(
  "an expired node key is renewed with the auth key, and when that is refused %s, by a login URL",
  async (how) => {
    const params = { controlUrl: "http://control.example", authKey: "tskey-auth-x" } as UpParams;
    if (how === "by the call") tailnet.loginFault = new Fault("auth_key", "used up");
    await join({ params }).up();
    tailnet.play("state", status("Running"));
    await settled();
    const expired = status("NeedsLogin", {}, { keyExpired: true });
    tailnet.play("state", expired);
    if (how === "by an event") tailnet.play("authFailed", "used up");
    await settled();
    tailnet.play("state", expired);
    expect(tailnet.logins).toEqual(["tskey-auth-x", undefined]);
    expect(codes()).toEqual(["key_expired", "auth_key_refused"]);
    expect(said).toEqual(["serving cairn.t.ts.net"]);
  },
);

const removed = { denied: { reason: "removed", message: "node not found" } } as const;
const textOf = (code: string) => conditions.list().find((each) => each.code === code)?.text ?? "";

test("a deleted device is reported as such, gets a login URL and never its key, and comes back", async () => {
  await join(KEYED).up();
  tailnet.play("state", status("Running"));
  await settled();
  tailnet.play("state", status("Running", removed));
  tailnet.play("state", status("NeedsLogin", { ...removed, self: null }));
  expect(tailnet.logins).toEqual([undefined]);
  expect(codes()).toEqual(["removed_from_tailnet"]);
  expect(textOf("removed_from_tailnet")).toContain("node not found");
  tailnet.play("login", "https://login.example/a/3");
  tailnet.play("state", status("NeedsLogin", { ...removed, self: null }));
  expect(tailnet.logins).toHaveLength(1);
  tailnet.play("state", status("Running"));
  await settled();
  expect(codes()).toEqual([]);
});

test("a device that was deleted or expired while it was off keeps its first login URL", async () => {
  for (const reason of ["removed", "expired"] as const) {
    await join({ hasState: true }).up();
    tailnet.play("login", "https://login.example/a/4");
    tailnet.play("state", status("NeedsLogin", { denied: { reason, message: "" }, self: null }));
    const code = reason === "removed" ? "removed_from_tailnet" : "key_expired";
    expect([tailnet.logins, codes()]).toEqual([[], [code, "needs_login", "starting"]]);
    expect(session.loginUrl()).toBe("https://login.example/a/4");
    session.stop();
    conditions = new Conditions(() => {});
  }
});

test("an extended key ends the condition although a login waits", async () => {
  await join().up();
  tailnet.play("state", status("Running"));
  tailnet.play("state", status("NeedsLogin", {}, { keyExpired: true }));
  tailnet.play("login", "https://login.example/a/5");
  expect(textOf("key_expired")).toContain("until its key is extended");
  tailnet.play("state", status("Running"));
  await settled();
  expect([codes(), session.loginUrl()]).toEqual([[], undefined]);
});

test("a spent key does not end a node whose own key has expired while it was off", async () => {
  await join({ ...KEYED, hasState: true, refusedKeyGraceMs: 1 }).up();
  tailnet.play("authFailed", "used up");
  tailnet.play("state", status("NeedsLogin", { denied: { reason: "expired", message: "" }, self: null }));
  await eventually("the refused key to be noted", () => codes().includes("auth_key_refused"));
  expect(tailnet.logins).toEqual([undefined]);
  expect(codes()).toContain("key_expired");
  expect(said.filter((line) => line.startsWith("fatal"))).toEqual([]);
});

test("a refusal by control is shown in its words, is not laid on the key, and ends by itself", async () => {
  await join(KEYED).up();
  tailnet.play("state", status("Running"));
  await settled();
  tailnet.play("authFailed", "suspended");
  tailnet.play("state", status("Running", { denied: { reason: "refused", message: "suspended" } }));
  tailnet.play("authFailed", "suspended");
  expect([codes(), tailnet.logins]).toEqual([["login_refused"], []]);
  expect(textOf("login_refused")).toContain("suspended");
  tailnet.play("state", status("Running"));
  await settled();
  expect(codes()).toEqual([]);
});

test("a first login that is refused without a key waits, and does not speak of a key", async () => {
  await join().up();
  tailnet.play("authFailed", "no room for another device");
  tailnet.play("state", status("NeedsLogin", { self: null }));
  expect(codes()).toEqual(["login_refused", "starting"]);
  expect(new Set(said)).toEqual(new Set(["waiting"]));
  tailnet.play("login", "https://login.example/a/6");
  expect(codes()).toEqual(["needs_login", "starting"]);
  tailnet.play("authFailed", "no room again");
  tailnet.play("state", status("Running"));
  await settled();
  expect(codes()).toEqual([]);
});

test("what Tailscale reports of its health is a condition only while the node runs", async () => {
  await join().up();
  tailnet.play("state", status("Starting", { health: ["Tailscale is starting"] }));
  expect(codes()).toEqual(["starting"]);
  tailnet.play("state", status("Running", { health: ["no relay", "clock is off"] }));
  await settled();
  expect(conditions.list().map(({ text }) => text)).toEqual(["no relay; clock is off"]);
});

test("the end of the tailnet half ends the node with its reason", async () => {
  await join().up();
  tailnet.play("fatal", "the Go half ended");
  expect(said).toEqual(["fatal tailnet_failed"]);
  expect(codes()).toContain("tailnet_stopped");
});

test("nothing is heard after stop", async () => {
  await join().up();
  session.stop();
  tailnet.play("authFailed", "late");
  tailnet.play("state", status("Running"));
  await settled();
  expect(said).toEqual([]);
  expect(tailnet.listening).toEqual([]);
});
