// How a login is written in policies and settings. A user of Headscale may have no domain, and its policy then wants
// `ann@`; the tailnet itself says `ann`.

/** Returns a login as the policy of any control server takes it. */
export function writtenLogin(login: string): string {
  return login.includes("@") ? login : `${login}@`;
}

/** Reports whether a login that someone wrote is that of a caller. */
export function isLoginOf(written: string, login: string): boolean {
  return login !== "" && (written === login || written === writtenLogin(login));
}
