// The messages of a streamed response of MCP, as they come.

type Json = Record<string, unknown>;

/** Reads the messages of a stream until it ends. `of`: those of `notifications/events/WHAT`. */
export function messagesOf(response: Response) {
  const messages: Json[] = [];
  const reading = (async () => {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      rest += decoder.decode(chunk, { stream: true });
      const parts = rest.split("\n\n");
      rest = parts.pop() ?? "";
      for (const part of parts) {
        const line = part.split("\n").find((each) => each.startsWith("data: "));
        if (line !== undefined) messages.push(JSON.parse(line.slice(6)));
      }
    }
  })();
  const of = (what: string) => messages.filter(({ method }) => method === `notifications/events/${what}`);
  return { messages, reading, of };
}
