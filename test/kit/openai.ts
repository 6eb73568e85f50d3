// A small server with the HTTP interface of OpenAI for embeddings and chat completions, written from its published
// schema. It fails as the test sets it.

import { conceptsOf } from "./concepts.ts";

export const OPENAI_KEY = "sk-canary-0815-canary";

/** What happens to requests instead of their normal response. */
export type OpenAiFault =
  | "400"
  | "401"
  | "429"
  | "500"
  | "cut"
  | "drip"
  | "fewer"
  | "huge"
  | "infinite"
  | "nan"
  | "not-json"
  | "null"
  | "other-indexes"
  | "redirect"
  | "silent"
  | "strings"
  | "wrong-width"
  | "zeros";

/** One request that was received. */
export interface SeenRequest {
  path: string;
  authorization: string | undefined;
  body: Record<string, unknown>;
}

export class TestOpenAi implements AsyncDisposable {
  readonly seen: SeenRequest[] = [];
  fault: OpenAiFault | undefined;
  redirectTo = "http://127.0.0.1:9/";
  /** What the chat model says to a document. */
  says: (text: string) => string = () => "A summary.";
  readonly #server: Bun.Server<undefined>;
  readonly #stop = new AbortController();

  constructor() {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      idleTimeout: 0,
      fetch: (request) => this.#respond(request),
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}/v1`;
  }

  get host(): string {
    return `127.0.0.1:${this.#server.port}`;
  }

  async #respond(request: Request): Promise<Response> {
    const path = new URL(request.url).pathname;
    if (request.method !== "POST") return error(404, "not_found");
    const body = (await request.json()) as Record<string, unknown>;
    this.seen.push({ path, authorization: request.headers.get("authorization") ?? undefined, body });
    const refused = await this.#faultResponse();
    if (refused !== undefined) return refused;
    if (typeof body["model"] !== "string") return error(400, "invalid_request_error");
    if (path === "/v1/embeddings") return Response.json(this.#embeddings(body));
    if (path === "/v1/chat/completions") return Response.json(this.#completion(body));
    return error(404, "not_found");
  }

  async #faultResponse(): Promise<Response | undefined> {
    const { fault } = this;
    if (fault === "silent") {
      await new Promise<void>((resolve) => this.#stop.signal.addEventListener("abort", () => resolve()));
      return error(500, "late");
    }
    if (fault === "drip" || fault === "huge") return new Response(this.#endless(fault === "drip" ? 50 : 0));
    if (fault === "redirect") return new Response(null, { status: 307, headers: { location: this.redirectTo } });
    if (fault === "429") return error(429, "rate_limit_exceeded", { "retry-after": "60" });
    if (fault === "not-json") return new Response("<html>maintenance</html>");
    if (fault === "cut") return new Response('{"object":"list","data":[{"object":"embed');
    if (fault === "nan") return new Response('{"object":"list","data":[{"index":0,"embedding":[NaN,1]}]}');
    if (fault === "null") return new Response("null");
    if (fault === "400" || fault === "401" || fault === "500") return error(Number(fault), `key was ${OPENAI_KEY}`);
    return undefined;
  }

  #endless(everyMs: number): ReadableStream<Uint8Array> {
    const chunk = new Uint8Array(everyMs === 0 ? 256 * 1024 : 1).fill(0x20);
    return new ReadableStream({
      pull: async (controller) => {
        if (everyMs > 0) await Bun.sleep(everyMs);
        if (this.#stop.signal.aborted) controller.close();
        else controller.enqueue(chunk);
      },
    });
  }

  #embeddings(body: Record<string, unknown>) {
    const texts = (Array.isArray(body["input"]) ? body["input"] : [body["input"]]) as string[];
    const data = texts.map((text, index) => ({ object: "embedding", index, embedding: this.#vector(text) }));
    if (this.fault === "fewer") data.pop();
    if (this.fault === "other-indexes") for (const each of data) each.index += 1;
    // The order is said by the index alone.
    data.reverse();
    return { object: "list", data, model: body["model"], usage: { prompt_tokens: 1, total_tokens: 1 } };
  }

  #vector(text: string): unknown[] {
    const vector: unknown[] = [...conceptsOf(text)];
    if (this.fault === "infinite") vector[0] = Number.MAX_VALUE;
    if (this.fault === "strings") vector[0] = "1";
    if (this.fault === "wrong-width") vector.push(1);
    return this.fault === "zeros" ? vector.map(() => 0) : vector;
  }

  #completion(body: Record<string, unknown>) {
    const messages = body["messages"] as { role: string; content: string }[];
    const content = this.says(messages.at(-1)?.content ?? "");
    return {
      ...{ id: "chatcmpl-1", object: "chat.completion", created: 1_700_000_000, model: body["model"] },
      choices: [
        { index: 0, message: { role: "assistant", content, refusal: null }, logprobs: null, finish_reason: "stop" },
      ],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#server.stop(true);
  }
}

function error(status: number, message: string, headers: Record<string, string> = {}): Response {
  return Response.json({ error: { message, type: "error", param: null, code: null } }, { status, headers });
}
