// A model that follows a script, on loopback: it speaks the four protocols by which agents ask their model, calls one
// tool after the other, and keeps what the agent shows it. It decides nothing.

/** One turn of the script: a tool by the end of its name, which agents put their own prefix before. */
export interface Turn {
  tool: RegExp;
  arguments: object;
  /** Before the turn is sent. */
  before?: () => Promise<void>;
  /** While the tool runs. */
  during?: () => Promise<void>;
}

/** What an agent sent: the names of the tools that it offers, and the results that its model has had so far. */
interface Asked {
  tools: string[];
  results: string[];
}

/** The tool by which some agents call a tool that a search described, and that they never offer by itself. */
const TOOL_CALL = "tool_call";

/** A turn in the words of a protocol: one call, or the last words. */
type Said = { id: string; name: string; arguments: object } | undefined;

interface Protocol {
  path: RegExp;
  read(body: Json): Asked;
  /** The events of the response, in server-sent form. */
  say(said: Said, model: string): Array<[event: string, data: unknown]>;
}

// biome-ignore lint/suspicious/noExplicitAny: bodies of four foreign protocols, read by the paths that they have.
type Json = any;

const LAST_WORDS = "done";

/** The names of a protocol, where each list is flattened: some group the tools of a server. */
function namesOf(tools: Json[], prefix = ""): string[] {
  return tools.flatMap((tool) => {
    if (Array.isArray(tool.tools)) return namesOf(tool.tools, `${tool.name ?? ""}|`);
    if (Array.isArray(tool.functionDeclarations)) return namesOf(tool.functionDeclarations);
    return [`${prefix}${tool.name ?? tool.function?.name ?? ""}`];
  });
}

/** Returns the names of the tools that a result of a search describes, each as JSON in an element of its own. */
function namesIn(found: string): string[] {
  return [...found.matchAll(/<function>(.*?)<\/function>/gs)].map(([, json = ""]) => JSON.parse(json).name);
}

/** Returns the text of a result, which is a string, or a list of parts. */
function plain(content: Json): string {
  if (typeof content === "string") return content;
  if (Array.isArray(content)) return content.map((part) => part.text ?? "").join("\n");
  return JSON.stringify(content);
}

const messages: Protocol = {
  path: /\/v1\/messages(\?|$)/,
  read: ({ tools = [], messages: all }) => ({
    tools: namesOf(tools),
    results: all.flatMap(({ content }: Json) =>
      Array.isArray(content)
        ? content.filter(({ type }) => type === "tool_result").map((part: Json) => plain(part.content))
        : [],
    ),
  }),
  say(said, model) {
    const block =
      said === undefined ? { type: "text", text: "" } : { type: "tool_use", id: said.id, name: said.name, input: {} };
    const delta =
      said === undefined
        ? { type: "text_delta", text: LAST_WORDS }
        : { type: "input_json_delta", partial_json: JSON.stringify(said.arguments) };
    const usage = { input_tokens: 1, output_tokens: 1 };
    const message = { id: "msg_1", type: "message", role: "assistant", model, content: [], stop_reason: null, usage };
    const reason = said === undefined ? "end_turn" : "tool_use";
    return [
      ["message_start", { type: "message_start", message }],
      ["content_block_start", { type: "content_block_start", index: 0, content_block: block }],
      ["content_block_delta", { type: "content_block_delta", index: 0, delta }],
      ["content_block_stop", { type: "content_block_stop", index: 0 }],
      ["message_delta", { type: "message_delta", delta: { stop_reason: reason, stop_sequence: null }, usage }],
      ["message_stop", { type: "message_stop" }],
    ];
  },
};

const responses: Protocol = {
  path: /\/responses$/,
  read: ({ tools = [], input }) => ({
    tools: namesOf(tools),
    results: input.filter(({ type }: Json) => type === "function_call_output").map(({ output }: Json) => plain(output)),
  }),
  say(said) {
    const [namespace, name] = said?.name.includes("|") ? said.name.split("|") : [undefined, said?.name];
    const item =
      said === undefined
        ? { type: "message", id: "m1", role: "assistant", content: [{ type: "output_text", text: LAST_WORDS }] }
        : {
            ...{ type: "function_call", id: `f${said.id}`, call_id: said.id, name },
            ...(namespace === undefined ? {} : { namespace }),
            arguments: JSON.stringify(said.arguments),
          };
    const usage = { input_tokens: 1, output_tokens: 1, total_tokens: 2 };
    return [
      ["response.created", { type: "response.created", response: { id: "r1" } }],
      ["response.output_item.done", { type: "response.output_item.done", output_index: 0, item }],
      ["response.completed", { type: "response.completed", response: { id: "r1", output: [item], usage } }],
    ];
  },
};

const completions: Protocol = {
  path: /\/chat\/completions$/,
  read: ({ tools = [], messages: all }) => ({
    tools: namesOf(tools),
    results: all.filter(({ role }: Json) => role === "tool").map(({ content }: Json) => plain(content)),
  }),
  say(said, model) {
    const call = said && { name: said.name, arguments: JSON.stringify(said.arguments) };
    const delta = said
      ? { role: "assistant", tool_calls: [{ index: 0, id: said.id, type: "function", function: call }] }
      : { role: "assistant", content: LAST_WORDS };
    const chunk = (choice: object) => ({
      ...{ id: "c1", object: "chat.completion.chunk", created: 1, model },
      choices: [{ index: 0, finish_reason: null, ...choice }],
    });
    const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
    return [
      ["", chunk({ delta })],
      ["", { ...chunk({ delta: {}, finish_reason: said ? "tool_calls" : "stop" }), usage }],
      ["", "[DONE]"],
    ];
  },
};

const contents: Protocol = {
  path: /:streamGenerateContent/,
  read: ({ tools = [], contents: all }) => ({
    tools: namesOf(tools),
    results: all.flatMap(({ parts = [] }: Json) =>
      parts
        .filter((part: Json) => part.functionResponse !== undefined)
        .map(({ functionResponse: { response } }: Json) => plain(response.output ?? response.error ?? response)),
    ),
  }),
  say(said) {
    const part =
      said === undefined ? { text: LAST_WORDS } : { functionCall: { name: said.name, args: said.arguments } };
    const usage = { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 };
    const candidate = { index: 0, content: { role: "model", parts: [part] }, finishReason: "STOP" };
    return [["", { candidates: [candidate], usageMetadata: usage }]];
  },
};

const PROTOCOLS = [messages, responses, completions, contents];

/** The server of a script. */
export class ScriptedModel implements AsyncDisposable {
  /** Tools that the agent offered in any request, or described in a result of its search. */
  readonly tools = new Set<string>();
  /** What the model was shown for the turns so far, in their order; undefined where the agent lacks the tool. */
  readonly shown: Array<string | undefined> = [];
  /** Requests that no protocol has. */
  readonly unknown: string[] = [];
  readonly #turns: readonly Turn[];
  readonly #server;
  /** The turns that were sent, by the number of results before each. */
  readonly #sent = new Map<number, number>();
  #next = 0;

  constructor(turns: readonly Turn[]) {
    this.#turns = turns;
    this.#server = Bun.serve({ hostname: "127.0.0.1", port: 0, idleTimeout: 0, fetch: (asked) => this.#fetch(asked) });
  }

  /** Origin without a slash at its end. */
  get url(): string {
    return this.#server.url.origin;
  }

  async #fetch(request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const protocol = PROTOCOLS.find(({ path }) => path.test(pathname));
    if (protocol === undefined || request.method !== "POST") {
      this.unknown.push(`${request.method} ${pathname}${search}`);
      return Response.json({ error: { message: "not in the script" } }, { status: 404 });
    }
    const body: Json = await request.json();
    const asked = protocol.read(body);
    // Requests without tools are for titles and summaries.
    const said = asked.tools.length > 0 ? await this.#turn(asked) : undefined;
    const events = protocol.say(said, String(body.model ?? "model"));
    const text = events.map(([event, data]) => {
      const json = typeof data === "string" ? data : JSON.stringify(data);
      return `${event === "" ? "" : `event: ${event}\n`}data: ${json}\n\n`;
    });
    return new Response(text.join(""), { headers: { "content-type": "text/event-stream" } });
  }

  /** Returns the next turn whose tool the agent has. A request that is repeated gets the same turn again. */
  async #turn({ tools, results }: Asked): Promise<Said> {
    const described = tools.includes(TOOL_CALL) ? results.flatMap(namesIn) : [];
    for (const name of [...tools, ...described]) this.tools.add(name);
    const again = this.#sent.get(results.length);
    if (again === undefined && results.length > 0) this.shown[this.#next - 1] = results.at(-1);
    for (let at = again ?? this.#next; at < this.#turns.length; at++) {
      const turn = this.#turns[at] as Turn;
      const name = [...tools, ...described].find((one) => turn.tool.test(one));
      this.#next = at + 1;
      if (name === undefined) continue;
      if (again === undefined) await turn.before?.();
      this.#sent.set(results.length, at);
      if (again === undefined) void turn.during?.();
      const id = `call_${at}`;
      if (tools.includes(name)) return { id, name, arguments: turn.arguments };
      return { id, name: TOOL_CALL, arguments: { name, arguments: turn.arguments } };
    }
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}
