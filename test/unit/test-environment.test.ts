// What of the environment of the person who runs the tests reaches them.

import { expect, test } from "bun:test";
import { testEnvironment } from "../../scripts/test-environment.ts";

test.each([
  ["TS_AUTHKEY"],
  ["TAILSCALE_AUTH_KEY"],
  ["CAIRN_DATA"],
  ["CAIRN_S3_SECRET_ACCESS_KEY"],
  ["XDG_RUNTIME_DIR"],
  ["STATE_DIRECTORY"],
  ["CREDENTIALS_DIRECTORY"],
  ["BUN_OPTIONS"],
  ["BUN_BE_BUN"],
])("%s does not reach a test", (name) => {
  expect(testEnvironment({ [name]: "x", LANG: "C" })).toEqual({
    LANG: "C",
    NO_PROXY: "127.0.0.1,localhost,",
    no_proxy: "127.0.0.1,localhost,",
  });
});

test("a proxy is kept, and not used for this machine", () => {
  expect(testEnvironment({ HTTPS_PROXY: "http://proxy:3128", no_proxy: "example.com" })).toEqual({
    HTTPS_PROXY: "http://proxy:3128",
    NO_PROXY: "127.0.0.1,localhost,example.com",
    no_proxy: "127.0.0.1,localhost,example.com",
  });
});
