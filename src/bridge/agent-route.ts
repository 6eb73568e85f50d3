// A route whose calls act as an agent of the bridge's caller. It registers the name when a node is first asked, keeps
// the handle in a file, and shows it in a header, so that no model sees it.

import { agentKeyOf } from "../lib/agent-key.ts";
import { FAULTS, Fault, readFault } from "../lib/fault.ts";
import { readHandle, writeHandle } from "../lib/handle-file.ts";
import { isObject } from "../lib/json-object.ts";
import { AGENT_HEADER, FAULT_META, STATELESS_REVISION } from "../lib/mcp-names.ts";
import { newHandle } from "../lib/new-handle.ts";
import { OWN_MCP_PATH, type Send } from "./endpoint.ts";
import { NotSentError, OutcomeUnknownError } from "./errors.ts";
import { post, readResponses } from "./exchange.ts";
import { JsonRpcError, jsonRpcErrorOf, OWN_ID, ownRequest, statelessHeaders } from "./json-rpc.ts";
import type { FailureKind, Member, Route, Switch } from "./route.ts";

/** Time limit of a registration, in ms. */
const REGISTER_MS = 10_000;

export interface AgentOptions {
  name: string;
  /** What it says it is; undefined: as before, or nothing. */
  type: string | undefined;
  /** File of its handle (lib/handle-file.ts). */
  file: string;
}

/** A route over another one, as an agent. */
export class AgentRoute implements Route {
  readonly #route: Route;
  readonly #agent: AgentOptions;
  /** Members as they are outside, by those of the route, and back. */
  readonly #outer = new WeakMap<Member, Member>();
  readonly #inner = new WeakMap<Member, Member>();
  /** The handle, once a node has taken it. */
  #handle: Promise<string> | undefined;
  /** That handle as text, to notice that the file has another one. */
  #shown: string | undefined;

  constructor(route: Route, agent: AgentOptions) {
    this.#route = route;
    this.#agent = agent;
  }

  get hasSeveral(): boolean {
    return this.#route.hasSeveral;
  }

  get retryForMs(): number {
    return this.#route.retryForMs;
  }

  /** As of a Route. Rejects with JsonRpcError too where the name cannot be had. */
  async member(signal: AbortSignal): Promise<Member> {
    return this.#as(await this.#route.member(signal));
  }

  failed(member: Member, kind: FailureKind, why: string): void {
    this.#route.failed(this.#of(member), kind, why);
  }

  awaitResponse(member: Member): () => void {
    return this.#route.awaitResponse(this.#of(member));
  }

  sawPosition(position: string): void {
    this.#route.sawPosition(position);
  }

  onSwitch(listener: (change: Switch) => void): void {
    this.#route.onSwitch(({ to, toolsChanged }) => listener({ to: this.#as(to), toolsChanged }));
  }

  close(): void {
    this.#route.close();
  }

  #of(member: Member): Member {
    return this.#inner.get(member) ?? member;
  }

  /** Returns a member whose requests show the handle; the first of them waits for the registration. */
  #as(member: Member): Member {
    const known = this.#outer.get(member);
    if (known !== undefined) return known;
    const send: Send = async (path, options) => {
      const handle = await this.#registered(member.send, options.signal);
      return member.send(path, { ...options, headers: { ...options.headers, [AGENT_HEADER]: handle } });
    };
    const outer: Member = {
      // That of a single node's route changes with its address.
      get name() {
        return member.name;
      },
      gone: member.gone,
      caller: member.caller,
      tools: member.tools,
      get behind() {
        return member.behind;
      },
      send,
      position: (signal) => member.position(signal),
    };
    this.#outer.set(member, outer);
    this.#inner.set(outer, member);
    return outer;
  }

  /** Returns the handle. Calls that come meanwhile wait for one registration, which no one of them cancels. */
  async #registered(send: Send, signal: AbortSignal): Promise<string> {
    if (this.#shown !== undefined && this.#isReplaced()) {
      this.#shown = undefined;
      this.#handle = undefined;
    }
    this.#handle ??= this.#register(send, AbortSignal.timeout(REGISTER_MS)).then(
      (handle) => {
        this.#shown = handle;
        return handle;
      },
      (error: unknown) => {
        // The next call tries again.
        this.#handle = undefined;
        throw error;
      },
    );
    const gone = Promise.withResolvers<never>();
    const leave = () => gone.reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    try {
      signal.throwIfAborted();
      return await Promise.race([this.#handle, gone.promise]);
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  /** Reports whether another program of this user, such as `cairn agents register`, has put another handle there. */
  #isReplaced(): boolean {
    try {
      const kept = readHandle(this.#agent.file);
      return kept !== undefined && kept !== this.#shown;
    } catch {
      // The registration reads it again, and says why it cannot.
      return true;
    }
  }

  /** Returns the kept handle if it is still valid, else that of a new registration, which is kept before it is made. */
  async #register(send: Send, signal: AbortSignal): Promise<string> {
    const { name, type, file } = this.#agent;
    try {
      const kept = readHandle(file);
      if (kept !== undefined && (await isValid(send, kept, signal))) return kept;
      const handle = newHandle();
      writeHandle(file, handle);
      const input = { name, takeover: true, handle_hash: agentKeyOf(handle), ...(type === undefined ? {} : { type }) };
      const refused = await callTool(send, "agent_register", input, signal);
      if (refused === undefined) return handle;
      // The earlier handle may be valid for another caller, such as one that comes by another way to the node.
      if (kept !== undefined) writeHandle(file, kept);
      throw refused.retold(`The bridge cannot act as the agent ${name}: ${refused.message}`);
    } catch (error) {
      // The call itself was not sent, and a registration can be repeated: its handle is in the file.
      if (error instanceof OutcomeUnknownError || signal.aborted)
        throw new NotSentError("it did not register the agent");
      if (!(error instanceof Fault)) throw error;
      throw FAULTS[error.code].retryable ? new NotSentError(error.message) : jsonRpcErrorOf(error);
    }
  }
}

/** Reports whether a node takes a handle. Rejects where it refuses the call for another reason. */
async function isValid(send: Send, handle: string, signal: AbortSignal): Promise<boolean> {
  const refused = await callTool(send, "whoami", { as: handle }, signal);
  if (refused === undefined) return true;
  if (refused.code === "agent_unknown") return false;
  throw refused;
}

/** Calls a tool as the bridge itself. Returns the Fault of its result; undefined: it has none. */
async function callTool(
  send: Send,
  name: string,
  input: Record<string, unknown>,
  signal: AbortSignal,
): Promise<Fault | undefined> {
  const { text, message } = ownRequest("tools/call", { name, arguments: input });
  const response = await post(send, text, statelessHeaders(message, STATELESS_REVISION), signal, OWN_MCP_PATH);
  let result: Record<string, unknown> = {};
  await readResponses(response, OWN_ID, (_text, answer) => {
    const { error } = answer;
    if (isObject(error)) throw new JsonRpcError(Number(error["code"]), String(error["message"]), {});
    result = answer.result ?? {};
  });
  if (result["isError"] !== true) return undefined;
  const meta = isObject(result["_meta"]) ? result["_meta"][FAULT_META] : undefined;
  const { code, message: words, hint } = isObject(meta) ? meta : {};
  return readFault({
    code: String(code ?? "internal"),
    message: String(words ?? `the node refused ${name}`),
    ...(typeof hint === "string" ? { hint } : {}),
  });
}
