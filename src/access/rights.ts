// What a caller may do: grants parsed from hostile capability objects, each judged alone, results added, nothing ever denied by a rule (design 4, security.md 3).
export type Role = "reader" | "member" | "operator" | "admin";
export interface Grant {
  role: Role;
  /** Space names or globs (`*` is any run of characters). */
  spaces: readonly string[];
  /** Names or globs of operations; absent means all that the role allows. */
  tools: readonly string[] | undefined;
  requestsPerMinute: number | undefined;
}
export interface Rights {
  readonly grants: readonly Grant[];
  /** Why a capability object was worth nothing, for conditions and `whoami`. */
  readonly problems: readonly string[];
  /** Stable text of the grants: equal for equal rights; the key of prebuilt MCP lists. */
  readonly fingerprint: string;
}
