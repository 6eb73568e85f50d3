// How people read by which agent of which caller something was written: alike in every list.

/** Returns `builder (user:ann@example.com)`, or the caller alone where it acted as no agent. */
export function authorText({ author, agent }: { author: string; agent?: string | undefined }): string {
  return agent === undefined || agent === "" ? author : `${agent} (${author})`;
}
