// The environment in which tests run, by npm test and on mutants: ours without what is meant for a node of ours.

import { ENGINE_VARIABLES } from "../src/config/engine-variables.ts";

/**
 * Returns our environment without keys and settings: those of the person who runs the tests must never reach a node of
 * a test. A proxy is left for registries; the requests of tests to this machine do not go to it.
 */
export function testEnvironment(from: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const own = /^(TS_|TAILSCALE_|CAIRN_|XDG_RUNTIME_DIR|STATE_DIRECTORY|CREDENTIALS_DIRECTORY)/;
  const env = Object.entries(from).filter(([name]) => !own.test(name) && !ENGINE_VARIABLES.includes(name));
  const direct = ["127.0.0.1", "localhost", from["NO_PROXY"] ?? from["no_proxy"] ?? ""].join(",");
  return { ...Object.fromEntries(env), NO_PROXY: direct, no_proxy: direct };
}
