// Sends one message until it is answered or has finally failed: again to the same member, or to the next one when a
// member dies, stops or cannot serve. A repeated write keeps its idempotency key, a repeated wait its start position.

import { isObject } from "../lib/json-object.ts";
import { POSITION_META } from "../lib/mcp-names.ts";
import { pause } from "../lib/pause.ts";
import { backoffMs } from "../lib/retry.ts";
import { NotSentError, OutcomeUnknownError, UnavailableError } from "./errors.ts";
import type { Judge } from "./exchange.ts";
import { failureOf, JsonRpcError, type Message } from "./json-rpc.ts";
import { makeRepeatable, type RepeatableCall } from "./repeatable.ts";
import type { Member, Route } from "./route.ts";

/** Time between attempts, and where only one node is asked. */
const RETRY = { firstMs: 100, lastMs: 1000 };
const RETRY_ALONE = { firstMs: 100 };

/**
 * Sends `text` to the member and passes its responses on. Rejects with NotSentError, OutcomeUnknownError,
 * UnavailableError, or JsonRpcError, which is final.
 */
export type Attempt = (member: Member, text: string, signal: AbortSignal, judge: Judge) => Promise<void>;

/** One message to send. */
export interface RetryOptions {
  route: Route;
  text: string;
  message: Message;
  signal: AbortSignal;
  attempt: Attempt;
  /** Takes the response of a member that cannot serve the call, when no other member can either. */
  onUnavailable: (text: string) => void | Promise<void>;
}

type Failure = NotSentError | OutcomeUnknownError | UnavailableError;

/** Sends a message and resolves once it is answered. Rejects with JsonRpcError or the signal's reason. */
export function sendWithRetry(options: RetryOptions): Promise<void> {
  return new RetriedCall(options).run();
}

class RetriedCall {
  readonly #options: RetryOptions;
  readonly #startedMs = performance.now();
  #failingSinceMs: number | undefined;
  #call: RepeatableCall | undefined;
  /** The last attempt whose outcome is unknown. */
  #unknown: { member: Member; cause: Error } | undefined;
  /** The responses of members that cannot serve the call, by member name. */
  readonly #unavailable = new Map<string, UnavailableError>();

  constructor(options: RetryOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    try {
      const final = await this.#untilAnswered();
      if (final !== undefined) await this.#options.onUnavailable(final);
    } catch (error) {
      this.#options.signal.throwIfAborted();
      throw this.#asUnknown() ?? error;
    }
  }

  /** Resolves once the call is answered, or with the response that is its final failure. */
  async #untilAnswered(): Promise<string | undefined> {
    const { route, text, message, signal } = this.#options;
    for (let failures = 1; ; failures += 1) {
      const member = await route.member(signal);
      // The route offers it again, so every member that is left has said that it cannot serve the call.
      const answered = this.#unavailable.get(member.name);
      if (answered !== undefined && this.#call?.waits !== true) return this.#final(answered);
      this.#call ??= await makeRepeatable(route, member, text, message, signal);
      this.#refuseOtherCaller(this.#call, member);
      const failure = await this.#attempt(member, this.#call.textFor(member));
      if (failure === undefined) return undefined;
      const final = this.#judge(member, failure, this.#call);
      if (final !== undefined) return this.#final(final);
      await pause(backoffMs(failures, route.hasSeveral ? RETRY : RETRY_ALONE), signal);
    }
  }

  /** Returns a final response; throws in its place where it denies a write that an earlier attempt may have done. */
  #final({ text, proof }: UnavailableError): string {
    const unknown = proof === "unknown" ? undefined : this.#asUnknown();
    if (unknown !== undefined) throw unknown;
    return text;
  }

  /** Returns the error of a write that an attempt may have done; undefined where none may. */
  #asUnknown(): JsonRpcError | undefined {
    const unknown = this.#unknown;
    if (unknown === undefined || this.#call?.writes !== true) return undefined;
    return outcomeUnknown(unknown.member, unknown.cause);
  }

  /**
   * Throws where a response is not to be passed on: another member can serve the call, or an earlier attempt may have.
   */
  #judgeResponse(text: string, message: Message): void {
    const failed = failureOf(message);
    if (failed === undefined) return;
    if (failed.isUnavailable && this.#options.route.hasSeveral) throw new UnavailableError(text, failed.proof);
    const unknown = failed.proof === "none_done" ? undefined : this.#asUnknown();
    if (unknown !== undefined) throw unknown;
  }

  /** An idempotency key belongs to a caller: sent by another caller, the same write would be executed twice. */
  #refuseOtherCaller(call: RepeatableCall, member: Member): void {
    const unknown = this.#unknown;
    if (unknown !== undefined && call.writes && unknown.member.caller !== member.caller)
      throw outcomeUnknown(unknown.member, unknown.cause);
  }

  /** Makes one attempt. Returns the failure after which the call may be sent again; throws a final one. */
  async #attempt(member: Member, text: string): Promise<Failure | undefined> {
    const { route, signal, attempt } = this.#options;
    const release = route.awaitResponse(member);
    try {
      const judge = (answer: string, parsed: Message) => this.#judgeResponse(answer, parsed);
      await attempt(member, text, AbortSignal.any([signal, member.gone]), judge);
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof JsonRpcError) throw error;
      if (member.gone.aborted) return new OutcomeUnknownError(String(member.gone.reason));
      if (isFailure(error)) return error;
      throw error;
    } finally {
      release();
    }
  }

  /**
   * Reports the failure to the route and decides whether the call is sent again. Returns undefined if so, or the
   * member's `unavailable` response where that is the final answer. Throws JsonRpcError for other final failures.
   */
  #judge(member: Member, failure: Failure, call: RepeatableCall): UnavailableError | undefined {
    const { route } = this.#options;
    const nowMs = performance.now();
    route.failed(member, failure instanceof UnavailableError ? "busy" : "gone", failure.message);
    this.#failingSinceMs ??= nowMs;
    const proof = failure instanceof UnavailableError ? failure.proof : "unknown";
    if (!(failure instanceof NotSentError) && proof === "unknown") this.#unknown = { member, cause: failure };
    const isLate = nowMs - this.#failingSinceMs > route.retryForMs;
    const mayRepeat = failure instanceof NotSentError || (route.hasSeveral && call.repeatable);
    if (failure instanceof UnavailableError) {
      // A call that took this long to fail is not made twice, unless it was meant to wait.
      const isSlow = !call.waits && nowMs - this.#startedMs > route.retryForMs / 2;
      if (!mayRepeat || isLate || isSlow) return failure;
      this.#unavailable.set(member.name, failure);
    } else if (!mayRepeat) throw outcomeUnknown(member, failure);
    else if (isLate) throw unreachable(member, failure);
    return undefined;
  }
}

function isFailure(error: unknown): error is Failure {
  return error instanceof NotSentError || error instanceof OutcomeUnknownError || error instanceof UnavailableError;
}

/** No member took the call in time. */
function unreachable(member: Member, failure: Failure): JsonRpcError {
  const isComplete = failure instanceof NotSentError && failure.isComplete;
  const text = isComplete ? failure.message : `No cairn node answers at ${member.name} (${failure.message})`;
  return new JsonRpcError(503, text, {
    code: "not_running",
    hint: "Start the node with `cairn serve` (from source: `npm start`), then try again.",
    retryable: true,
  });
}

/** No response came to a call that must not be made twice. */
function outcomeUnknown(member: Member, cause: Error): JsonRpcError {
  return new JsonRpcError(503, `The connection to the cairn node at ${member.name} broke (${cause.message})`, {
    code: "unavailable",
    hint: "The call may have been done. Read before you write again, or repeat it with the same idempotency_key.",
    retryable: true,
    outcome: "unknown",
  });
}

/** Records the position that a response names with the route. */
export function recordPosition(route: Route, { result }: Message): void {
  const structured = result?.["structuredContent"];
  const meta = result?.["_meta"];
  const said = isObject(meta) ? meta[POSITION_META] : undefined;
  const position = said ?? (isObject(structured) ? structured["position"] : positionInText(result?.["content"]));
  if (typeof position === "string") route.sawPosition(position);
}

/** A long answer is text alone; its JSON begins with the position. */
function positionInText(content: unknown): string | undefined {
  const block: unknown = Array.isArray(content) ? content[0] : undefined;
  const text = isObject(block) ? block["text"] : undefined;
  return typeof text === "string" ? /^\{"position":"([^"]{1,64})"/.exec(text)?.[1] : undefined;
}
