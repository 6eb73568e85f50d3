// Members of a fleet for tests of the bridge: several listeners with an MCP endpoint each over one store, or a store of
// its own. A listener can be killed, hang, drain, refuse callers, or die before it sends a response.

import { z } from "zod";
import type { Caller } from "../../src/access/caller.ts";
import { createApi } from "../../src/api/index.ts";
import { FEATURES } from "../../src/features/index.ts";
import { Fault } from "../../src/lib/fault.ts";
import { toolError } from "../../src/mcp/errors.ts";
import { createMcp, isMcpPath } from "../../src/mcp/index.ts";
import { act } from "../../src/operation/define.ts";
import type { Core } from "./core.ts";
import { member } from "./mcp-server.ts";

export type Mood =
  | "well"
  /** Takes connections and requests and never responds; open streams stay open. */
  | "hangs"
  | "draining"
  /** A proxy before it finds no path to it. */
  | "unreachable"
  /** Refuses every caller. */
  | "shut"
  /** Refuses each tool call with a result. */
  | "refuses calls"
  /** Runs the next call, and dies before it responds. */
  | "dies with the answer";

/** Returns the members, as `node_status` does; the test chooses them. */
export function tellMembers(members: () => { name: string; url: string }[]) {
  return act({
    name: "node_status",
    title: "Members",
    description: "Lists the members.",
    input: z.object({}),
    output: z.object({
      tailnet: z.object({ name: z.string() }),
      members: z.array(z.object({ name: z.string(), url: z.string() })),
    }),
    access: { verb: "read", spaces: "visible" },
    run: async () => ({ tailnet: { name: "" }, members: members() }),
  });
}

export interface DoorOptions {
  role?: "central" | "edge";
  fleetId?: string;
  caller?: Caller;
}

/** One member. */
export class Door implements AsyncDisposable {
  mood: Mood = "well";
  /** Requests that it received, as `tools/call context_put` or a path. */
  readonly asked: string[] = [];
  readonly #core: Core;
  readonly #options: DoorOptions;
  #server: ReturnType<typeof Bun.serve> | undefined;
  #mcp: ReturnType<typeof createMcp>;
  readonly #port: number;

  constructor(core: Core, options: DoorOptions = {}) {
    this.#core = core;
    this.#options = options;
    this.#mcp = this.#endpoint();
    this.#server = this.#serve(0);
    this.#port = this.#server.port ?? 0;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get calls(): string[] {
    return this.asked.filter((line) => line.startsWith("tools/call"));
  }

  /** Like a killed process: every connection breaks. */
  async kill(): Promise<void> {
    await this.#server?.stop(true);
    this.#server = undefined;
  }

  async startAgain(): Promise<void> {
    this.mood = "well";
    this.#mcp = this.#endpoint();
    this.#server = this.#serve(this.#port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#mcp.close();
    await this.kill();
  }

  #endpoint() {
    return createMcp({ invoker: this.#core.invoker, features: FEATURES, version: "0.0.0-test", log: () => {} });
  }

  #serve(port: number) {
    const caller = this.#options.caller ?? member;
    const api = createApi({
      invoker: this.#core.invoker,
      features: [],
      version: "0.0.0-test",
      health: () => ({ ready: this.mood !== "draining", status: "ok", conditions: [] }),
      identity: () => ({
        fleetId: this.#options.fleetId ?? "f".repeat(32),
        fleet: "test",
        leader: "",
        role: this.#options.role ?? "central",
        surfaces: {},
      }),
      metrics: () => "",
      nowMs: Date.now,
      onUnexpected: (error) => String(error),
    });
    return Bun.serve({
      hostname: "127.0.0.1",
      port,
      idleTimeout: 0,
      fetch: async (request) => {
        const { pathname } = new URL(request.url);
        const said =
          isMcpPath(pathname) && request.method === "POST" ? describe(await request.clone().text()) : pathname;
        this.asked.push(said);
        if (this.mood === "hangs") await new Promise(() => {});
        if (this.mood === "shut") return Response.json({ code: "forbidden", detail: "no grant" }, { status: 403 });
        if (this.mood === "unreachable") return new Response("no path", { status: 502 });
        if (!isMcpPath(pathname)) return api.fetch(request, caller);
        if (this.mood === "draining") return Response.json({ code: "unavailable" }, { status: 503 });
        if (this.mood === "refuses calls" && said.startsWith("tools/call")) {
          const { id } = (await request.json()) as { id: number };
          const refused = toolError(new Fault("rate_limited", "too many"));
          return Response.json({ jsonrpc: "2.0", id, result: refused });
        }
        const answer = await this.#mcp.fetch(request, caller);
        if (this.mood !== "dies with the answer" || !said.startsWith("tools/call")) return answer;
        await answer.text();
        await this.kill();
        return answer;
      },
    });
  }
}

function describe(body: string): string {
  try {
    const { method, params } = JSON.parse(body);
    return method === "tools/call" ? `tools/call ${params.name} ${JSON.stringify(params.arguments)}` : String(method);
  } catch {
    return "no JSON";
  }
}
