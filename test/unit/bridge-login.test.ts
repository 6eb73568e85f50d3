// The tailnet node of a bridge that the control server does not take: its errors name the cause and the way out. The
// tailnet here only plays events.

import { beforeEach, expect, test } from "bun:test";
import { BridgeLogin, type BridgeLoginOptions } from "../../src/bridge/bridge-login.ts";
import { Fault } from "../../src/lib/fault.ts";
import { Played, status } from "../kit/played-tailnet.ts";

const URL_A = "https://login.example/a/1";
const NEVER = new AbortController().signal;

let tailnet: Played;
let said: string[];
let changes: (string | undefined)[];

beforeEach(() => {
  tailnet = new Played(() => {});
  said = [];
  changes = [];
});

function loginWith(options: Partial<BridgeLoginOptions> = {}): BridgeLogin {
  const login: BridgeLogin = new BridgeLogin({
    tailnet,
    name: "cairn",
    authKey: undefined,
    hasKey: options.authKey !== undefined,
    log: (level, message) => said.push(`${level}: ${message}`),
    onLoginUrl: (url) => said.push(`login ${url}`),
    onChange: () => changes.push(login.denial?.message),
    ...options,
  });
  return login;
}

const play = (...args: Parameters<typeof status>) => tailnet.play("state", status(...args));
const denied = (reason: "removed" | "expired" | "refused", message = "") =>
  play("NeedsLogin", { denied: { reason, message } });
/** What a join within 5 ms fails with. */
const failure = (login: BridgeLogin): Promise<Fault> =>
  login.joined(5, NEVER).then(
    () => new Fault("internal", "it joined"),
    (fault: Fault) => fault,
  );

test.each<[string, () => void, string, string]>([
  [
    "was deleted",
    () => denied("removed", "node not found"),
    "The control server does not know the device of this bridge any more (node not found)",
    "It was deleted from the tailnet: run cairn bridge cairn --login in a terminal.",
  ],
  [
    "has an expired key",
    () => play("Running", {}, { keyExpired: true, keyExpiry: "2026-06-01T00:00:00Z" }),
    "The key of this bridge's device has expired (2026-06-01T00:00:00Z)",
    "Extend it in the admin console of the tailnet, or run cairn bridge cairn --login in a terminal.",
  ],
  [
    "is refused",
    () => denied("refused", "the account is suspended"),
    "The control server refuses the device of this bridge: the account is suspended",
    "Ask an admin of the tailnet; the bridge goes on by itself once it is taken.",
  ],
])(
  "a device that %s fails to join for that reason, and goes on once it is taken",
  async (_how, deny, message, hint) => {
    const login = loginWith();
    deny();
    expect(changes).toEqual([message]);
    const fault = await failure(login);
    expect([fault.code, fault.message, fault.hint]).toEqual(["unavailable", message, hint]);
    play("Running");
    expect([login.denial, changes.at(-1)]).toEqual([undefined, undefined]);
  },
);

test("a device that is denied while the bridge runs says so, with the URL of its new login", async () => {
  const login = loginWith();
  play("Running");
  await login.joined(1000, NEVER);
  play("NeedsLogin");
  expect(tailnet.logins).toEqual([undefined]);
  tailnet.play("login", URL_A);
  expect(said).toEqual([`login ${URL_A}`]);
  expect([login.denial?.message, login.denial?.hint]).toEqual([
    "The key of this bridge's device has expired",
    `Extend it in the admin console of the tailnet, or open ${URL_A} in a browser to log it in again.`,
  ]);
  play("NeedsLogin");
  expect(tailnet.logins).toHaveLength(1);
  play("Running");
  expect(login.denial).toBeUndefined();
});

test("an expired key is renewed with the auth key, and with a URL once that is refused; a deleted device by a URL", async () => {
  const options = { authKey: "tskey-auth-x" };
  const login = loginWith(options);
  denied("expired");
  tailnet.play("authFailed", "used up");
  tailnet.play("authFailed", "used up");
  await Bun.sleep(0);
  expect(tailnet.logins).toEqual(["tskey-auth-x", undefined]);
  expect((await failure(login)).message).toBe("The key of this bridge's device has expired");
  tailnet = new Played(() => {});
  loginWith(options);
  denied("removed");
  expect(tailnet.logins).toEqual([undefined]);
});

test("a refused key of a new device is the key's fault, a refused login without a key the control server's", async () => {
  const keyed = loginWith({ authKey: "tskey-auth-x" });
  tailnet.play("authFailed", "invalid key");
  expect(await failure(keyed)).toMatchObject({
    code: "auth_key",
    message: "The tailnet refused the key of the bridge: invalid key",
    hint: "Set a fresh TS_AUTHKEY for one start, or log in with cairn bridge cairn --login.",
  });
  const person = loginWith();
  tailnet.play("authFailed", "no room for another device");
  expect(await failure(person)).toMatchObject({
    code: "unavailable",
    message: "The control server refuses the device of this bridge: no room for another device",
  });
});

test("without any word of the control server, the error says that it may be out of reach", async () => {
  expect((await failure(loginWith())).hint).toBe("See whether this machine reaches the control server.");
});
