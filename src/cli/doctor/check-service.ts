// Checks of the installed service: whether the unit is up to date, and whether its key file is private.

import { lstatSync, readFileSync } from "node:fs";
import type { Environment } from "../../config/environment.ts";
import { installedState, type Service, serviceFor } from "../service/manager.ts";
import { SYSTEM_ENVIRONMENT } from "../service/systemd.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";

/** Checks the unit of the system and the one of this user. */
export function checkService(env: Environment): Finding[] {
  const found = [false, true].flatMap((user) => {
    const plain = serviceFor({ user, dataDir: undefined, configFile: undefined, env });
    if (installedState(plain) === "absent") return [];
    const service = serviceFor({ user, ...flagsOf(plain), env });
    return [judge(service, user)];
  });
  return [
    ...(found.length === 0 ? [ok("service", "not installed; install it with cairn service install")] : found),
    ...checkKeyFile(),
  ];
}

/** Returns the folders that an installed unit names: other ones than the usual are no difference. */
function flagsOf(service: Service): { dataDir: string | undefined; configFile: string | undefined } {
  const text = readFileSync(service.path, "utf8");
  const systemd = /^ExecStart=.* serve(?: --data (\S+))?(?: --config (\S+))?$/m.exec(text);
  const launchd = (flag: string): string | undefined =>
    new RegExp(`<string>${flag}</string>\\s*<string>([^<]*)</string>`).exec(text)?.[1];
  return { dataDir: systemd?.[1] ?? launchd("--data"), configFile: systemd?.[2] ?? launchd("--config") };
}

function judge(service: Service, user: boolean): Finding {
  if (installedState(service) === "same") return ok("service", `${service.path} is up to date`);
  const again = `cairn service install${user ? " --user" : ""}`;
  return warn("service", `${service.path} differs from what this version installs`, `Update it: ${again}.`);
}

function checkKeyFile(): Finding[] {
  const found = lstatSync(SYSTEM_ENVIRONMENT, { throwIfNoEntry: false });
  if (found === undefined) return [];
  if ((found.mode & 0o077) === 0) return [ok("key file", `${SYSTEM_ENVIRONMENT} is private`)];
  return [
    fail(
      "key file",
      `others can read ${SYSTEM_ENVIRONMENT}`,
      `chmod 600 ${SYSTEM_ENVIRONMENT}, and revoke the key in it.`,
    ),
  ];
}
