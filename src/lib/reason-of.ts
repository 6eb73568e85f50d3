// What a caught value says of itself.

/** Returns the message of an error, or the value as text where it is no error. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Returns why a connection or a request failed, in a few words for people. */
export function connectionReason(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return REASONS[code] ?? reasonOf(cause);
}

/** The runtime's own texts about connections address callers of fetch. */
const REASONS: Readonly<Record<string, string>> = {
  ConnectionRefused: "nothing listens there",
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the connection broke",
  ConnectionClosed: "the connection broke",
  FailedToOpenSocket: "the socket cannot be opened",
  ENOENT: "there is no such socket",
  ENOTFOUND: "no machine of that name is known here",
  EHOSTUNREACH: "no network leads there",
  ENETUNREACH: "no network leads there",
};
