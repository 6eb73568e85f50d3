// Reads a server-sent event stream (WHATWG HTML 9.2): what MCP answers and the change feed travel in.

export interface ServerSentEvent {
  /** Value of `event:`; `message` without one. */
  event: string;
  /** The data lines, joined by newlines; empty for an event that only names a place to come back to. */
  data: string;
  /** Value of `id:`, where the event had one. */
  id: string | undefined;
}

/** The events of a body, as they arrive. Throws when one event is longer than `maxChars`. */
export async function* readEvents(body: ReadableStream<Uint8Array>, maxChars: number): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let text = "";
  let searched = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true }).replaceAll("\r\n", "\n");
      for (let end = text.indexOf("\n\n", searched); end >= 0; end = text.indexOf("\n\n")) {
        const event = parseEvent(text.slice(0, end));
        text = text.slice(end + 2);
        if (event !== undefined) yield event;
        searched = 0;
      }
      searched = Math.max(0, text.length - 1);
      if (text.length > maxChars) throw new Error(`an event is longer than ${maxChars} characters`);
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function parseEvent(block: string): ServerSentEvent | undefined {
  const data: string[] = [];
  let id: string | undefined;
  let event = "message";
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") data.push(value);
    else if (field === "id") id = value;
    else if (field === "event") event = value;
  }
  return data.length === 0 && id === undefined ? undefined : { event, data: data.join("\n"), id };
}
