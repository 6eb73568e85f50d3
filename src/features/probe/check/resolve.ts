// Look-ups of names by the resolver of this machine. They reach no address that a declaration chooses.

import { Resolver } from "node:dns/promises";

/** Returns the answers as texts. Rejects with the system's error, and when `signal` aborts. */
export async function resolveName(name: string, record: string, signal: AbortSignal): Promise<readonly string[]> {
  const resolver = new Resolver();
  const cancel = () => resolver.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  try {
    const aborted = new Promise<never>((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    return await Promise.race([answersOf(resolver, name, record), aborted]);
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

async function answersOf(resolver: Resolver, name: string, record: string): Promise<string[]> {
  switch (record) {
    case "AAAA":
      return resolver.resolve6(name);
    case "CNAME":
      return resolver.resolveCname(name);
    case "MX":
      return (await resolver.resolveMx(name)).map(({ exchange }) => exchange);
    case "NS":
      return resolver.resolveNs(name);
    case "TXT":
      return (await resolver.resolveTxt(name)).map((parts) => parts.join(""));
    default:
      return resolver.resolve4(name);
  }
}
