// The names of the retry policies; apart from their waits, because apply code reaches this file.

/** Names of the policies. */
export const POLICIES = ["standard", "notify", "mcp", "peer"] as const;
export type PolicyName = (typeof POLICIES)[number];
