// A client of the older MCP revisions that does as it likes: sessions, streams and broken connections by hand.

const JSON_TYPES = { "content-type": "application/json", accept: "application/json, text/event-stream" };

interface Event {
  id: string | undefined;
  message: Record<string, unknown> | undefined;
}

/** One response of the server that is read as a stream. */
export interface Stream extends AsyncDisposable {
  status: number;
  type: string;
  events: Event[];
  /** The stream has ended from the server's side. */
  ended: () => boolean;
  abort: () => void;
}

/** A client that does as it likes. */
export class Raw {
  headers: Record<string, string> = {};
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async open(as = "team", protocolVersion = "2025-11-25"): Promise<this> {
    this.headers = { "x-test-caller": as };
    const params = { protocolVersion, capabilities: {}, clientInfo: { name: "raw", version: "0" } };
    const response = await this.post({ id: 0, method: "initialize", params });
    const { result } = (await response.json()) as { result: { protocolVersion: string } };
    const id = response.headers.get("mcp-session-id") ?? "";
    this.headers = { ...this.headers, "mcp-session-id": id, "mcp-protocol-version": result.protocolVersion };
    await this.post({ method: "notifications/initialized" });
    return this;
  }

  post(message: object, signal?: AbortSignal): Promise<Response> {
    const body = JSON.stringify(Array.isArray(message) ? message : { jsonrpc: "2.0", ...message });
    const headers = { ...JSON_TYPES, ...this.headers };
    return fetch(this.#url, { method: "POST", headers, body, ...(signal === undefined ? {} : { signal }) });
  }

  async ask(method: string, params: object = {}): Promise<Record<string, unknown>> {
    return (await (await this.post({ id: 1, method, params })).json()) as Record<string, unknown>;
  }

  call(id: number | string, name: string, input: object, signal?: AbortSignal): Promise<Response> {
    return this.post({ id, method: "tools/call", params: { name, arguments: input } }, signal);
  }

  /** Opens the GET stream, after an event where one is named. */
  stream(lastEventId?: string): Promise<Stream> {
    const abort = new AbortController();
    const after = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
    const headers = { ...this.headers, accept: "text/event-stream", ...after };
    return readStream(fetch(this.#url, { headers, signal: abort.signal }), abort);
  }
}

/** Reads a response until it ends or is aborted. */
export async function readStream(asked: Promise<Response>, abort: AbortController): Promise<Stream> {
  const response = await asked;
  const events: Event[] = [];
  let ended = false;
  (async () => {
    let text = "";
    for await (const chunk of response.body ?? []) {
      text += new TextDecoder().decode(chunk);
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const [, data] = /^data: (.*)$/m.exec(block) ?? [];
        if (data === undefined) continue;
        events.push({ id: /^id: (.+)$/m.exec(block)?.[1], message: data === "" ? undefined : JSON.parse(data) });
      }
    }
    ended = true;
  })().catch(() => {});
  const type = response.headers.get("content-type") ?? "";
  const stop = () => abort.abort();
  return {
    status: response.status,
    type,
    events,
    ended: () => ended,
    abort: stop,
    [Symbol.asyncDispose]: async () => stop(),
  };
}

/** Returns the URIs of the updates in a stream. */
export const updates = ({ events }: Stream) =>
  events.flatMap(({ message }) =>
    message?.["method"] === "notifications/resources/updated" ? [(message["params"] as { uri: string }).uri] : [],
  );
/** Returns the responses in a stream. */
export const responses = ({ events }: Stream) =>
  events.flatMap(({ message }) => (message?.["id"] === undefined ? [] : [message]));
