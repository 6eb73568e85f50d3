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

/** Returns why a file or folder could not be read or written, in a few words for people. */
export function fileReason(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return FILE_REASONS[code] ?? reasonOf(cause);
}

/** The system's own texts have its call and its code, such as "EISDIR: illegal operation on a directory, read". */
const FILE_REASONS: Readonly<Record<string, string>> = {
  EISDIR: "it is a folder, not a file",
  ENOTDIR: "a part of its path is a file, not a folder",
  ENOENT: "there is no such file or folder",
  EACCES: "this user has no right to it",
  EPERM: "this user has no right to it",
  ELOOP: "its symbolic links lead in a circle",
  ENAMETOOLONG: "its name is too long",
  ENXIO: "it is a socket or a device that cannot be opened",
  EROFS: "its disk is read-only",
  ENOSPC: "its disk is full",
};

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
