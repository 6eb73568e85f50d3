// Runs a write on the leader: proposes it here, or forwards it. When the leader changes it tries again with the same
// idempotency key (replication.md 10).

import { type Caller, callerName } from "../access/caller.ts";
import { isReservedSpace } from "../access/space.ts";
import { canonicalJson } from "../lib/canonical-json.ts";
import { Fault } from "../lib/fault.ts";
import { pause } from "../lib/pause.ts";
import { sha256Hex } from "../lib/sha256.ts";
import type { TraceContext } from "../lib/trace-context.ts";
import { MAX_COMMAND_WORK, refuseWork } from "../lib/work.ts";
import { MAX_ENTRY_BYTES } from "../log/entry.ts";
import { INPUT_HASH_LEVEL, type KeyedCall, knownOutcome } from "../log/idempotency.ts";
import { COUNTED_OUTCOMES_LEVEL, outcomesFull } from "../log/kept-outcomes.ts";
import { AGENT_LEVEL, CLIENT_LEVEL, levelOf } from "../log/level.ts";
import type { CommandAgent, Log } from "../log/log.ts";
import { formatPosition, parsePosition } from "../log/position.ts";
import { inSpan, type Tracer } from "../observe/trace/tracer.ts";
import type { Reader } from "../store/store.ts";
import { type AgentTable, agentOf, agentUnknown } from "./agents.ts";
import type { Answer } from "./answer.ts";
import { Attempts } from "./attempts.ts";
import type { Spend } from "./caller-limits.ts";
import { CaughtUp } from "./caught-up.ts";
import type { AnyWrite, Proposer, WriteLimits } from "./define.ts";
import type { Positions } from "./positions.ts";
import { askedInput } from "./reveal.ts";
import { type ForwardCall, type Forwarded, fleetNameOf, newNodeKey, type Routing } from "./routing.ts";
import { lostLeadership, neverForwarded, notLeader, waitingFault } from "./routing-faults.ts";
import { refuseInputAbove, versionAt } from "./versions.ts";

/** A write that was parsed and admitted on this node. */
export interface AdmittedWrite {
  operation: AnyWrite;
  spaces: readonly string[] | "visible";
  input: Record<string, unknown>;
  /** The arguments as they came, for the node to which they are forwarded. */
  raw: Record<string, unknown>;
  caller: Caller;
  /** What its client said of itself, or "". */
  client: string;
  /** Key of the agent as which the caller acts; undefined: the caller itself. */
  agentKey: string | undefined;
  proposer: Proposer;
  /** Reports whether a type of agents counts for this caller in the spaces of the call. */
  countsType: (type: string) => boolean;
  key: string | undefined;
  forwarded: Forwarded | undefined;
  /** What the write is part of. */
  trace: TraceContext | undefined;
  signal: AbortSignal;
  /** Counts the work of the command against its caller's limit. */
  spend: Spend;
}

export interface WriteRouterOptions {
  log: Log;
  /** Reads the state of this node. */
  reader: Reader;
  positions: Positions;
  agents: AgentTable | undefined;
  limits: () => WriteLimits;
  writesRefused: (() => Fault | undefined) | undefined;
  routing: Routing | undefined;
  tracer?: Tracer | undefined;
}

/** After this time a write ends with the outcome that is known of it. */
const WITHIN_MS = 30_000;
/** Between two attempts at this node while it hands over or takes over the leadership. */
const LOCAL_RETRY_MS = 50;
/** When a leader loses the leadership, most of its proposals are still applied within this time. */
const LEADERSHIP_GRACE_MS = 500;
/** How long a forwarded write waits until this node has applied it too, so that the next read here sees it. */
const APPLIED_LOCALLY_MS = 5_000;

/** An idempotency key, from the caller or made by a node that forwards. */
interface Key {
  text: string;
  by: "caller" | "node";
}

/** Routes writes. */
export class WriteRouter {
  readonly #options: WriteRouterOptions;
  readonly #caughtUp: CaughtUp;

  constructor(options: WriteRouterOptions) {
    this.#options = options;
    this.#caughtUp = new CaughtUp(options.log);
  }

  /** Returns the answer, or rejects with the write's Fault, or with `unavailable` and what is known of its outcome. */
  run(write: AdmittedWrite): Promise<Answer> {
    const { routing } = this.#options;
    const mode = routing?.mode() ?? "leader";
    if (mode === "waiting") throw waitingFault(routing);
    if (routing === undefined || (mode === "leader" && !routing.hasOtherNodes()))
      return this.#propose(write, keyOf(write, undefined));
    return write.forwarded === undefined ? this.#anywhere(write, routing) : this.#asLeader(write, routing);
  }

  /** Orders a forwarded write. Never forwards it again: the node that took the call finds the leader itself. */
  async #asLeader(write: AdmittedWrite, routing: Routing): Promise<Answer> {
    if (routing.mode() !== "leader") throw notLeader(routing.leader());
    const answer = await this.#whileLeading(this.#propose(write, keyOf(write, write.forwarded?.nodeKey)));
    if (answer === "lost") throw lostLeadership(routing.leader());
    return answer;
  }

  /** Tries here while this node leads, and at the leader while another node does, until the time is over. */
  async #anywhere(write: AdmittedWrite, routing: Routing): Promise<Answer> {
    const attempts = new Attempts("write");
    try {
      return await this.#untilDone(write, routing, attempts);
    } catch (error) {
      // The only way out, so that no throw passes an earlier attempt by.
      throw attempts.end(error, write.signal.aborted);
    }
  }

  async #untilDone(write: AdmittedWrite, routing: Routing, attempts: Attempts): Promise<Answer> {
    const key = keyOf(write, newNodeKey());
    const late = AbortSignal.timeout(WITHIN_MS);
    while (!late.aborted) {
      const isLeader = routing.mode() === "leader";
      const answer = isLeader
        ? await this.#tryLocally(write, key, routing, attempts)
        : await this.#forward(write, key, routing, attempts, late);
      if (answer !== undefined) return answer;
      if (isLeader) await pause(LOCAL_RETRY_MS);
    }
    throw attempts.late();
  }

  /** Returns the answer; undefined if another node may have to order the write. */
  async #tryLocally(write: AdmittedWrite, key: Key, routing: Routing, attempts: Attempts): Promise<Answer | undefined> {
    const name = fleetNameOf(write.caller, routing);
    try {
      const proposed = this.#propose(write, key, name, key.by === "caller" || attempts.mayBeDone);
      // No other node can be asked for what is never forwarded: this one learns its outcome as a follower too.
      const answer = needsAdmin(write) ? await proposed : await this.#whileLeading(proposed);
      if (answer !== "lost") return answer;
      attempts.failed(lostLeadership(routing.leader()));
    } catch (error) {
      const outcome = error instanceof Fault ? error.facts.outcome : undefined;
      if (outcome !== "not_done" && outcome !== "unknown") {
        // An error that is no Fault comes before the log, which rejects with Faults only.
        if (error instanceof Fault) attempts.failed(error);
        throw error;
      }
      attempts.failed(error);
    }
    return undefined;
  }

  /** Returns the leader's answer; undefined if this node leads by now. */
  async #forward(
    write: AdmittedWrite,
    key: Key,
    routing: Routing,
    attempts: Attempts,
    late: AbortSignal,
  ): Promise<Answer | undefined> {
    const { operation, raw, caller, client, agentKey, signal, trace } = write;
    if (needsAdmin(write)) throw neverForwarded(operation.name, routing.leader());
    const call: ForwardCall = {
      operation: operation.name,
      input: raw,
      caller,
      kind: "write",
      attempts,
      ...(key.by === "node" ? { nodeKey: key.text } : {}),
      ...claimAt(routing.fleetLevel?.() ?? levelOf(this.#options.reader), client),
      ...(agentKey === undefined ? {} : { agentKey }),
      ...(trace === undefined ? {} : { trace }),
    };
    try {
      const answer = await routing.forward(call, "leader", AbortSignal.any([signal, late]));
      return answer === "local" ? undefined : await this.#applied(write, routing, answer);
    } catch (error) {
      signal.throwIfAborted();
      // To the forwarder the end of the time is a caller that left: it gets one signal for both.
      const isLate = late.aborted && (!(error instanceof Fault) || error.code === "cancelled");
      throw isLate ? attempts.late() : error;
    }
  }

  /**
   * Waits until a replica has applied a forwarded write. An edge does not: a session read that misses it goes upstream.
   */
  async #applied({ caller, signal, trace }: AdmittedWrite, routing: Routing, answer: Answer): Promise<Answer> {
    const { positions, tracer } = this.#options;
    positions.saw(callerName(caller), answer.position);
    if (routing.mode() !== "replica") return answer;
    const position = parsePosition(answer.position);
    const reached = () => positions.reached(position, APPLIED_LOCALLY_MS, signal);
    await inSpan(tracer, trace, "log.apply_here", reached).catch(() => {});
    return answer;
  }

  /**
   * Waits for a proposal while this node leads. Once another node leads it may wait long, so it ends with `lost` after
   * a grace; the next leader is then asked with the same key.
   */
  async #whileLeading(proposed: Promise<Answer>): Promise<Answer | "lost"> {
    const lost = Promise.withResolvers<"lost">();
    let grace: ReturnType<typeof setTimeout> | undefined;
    const stop = this.#options.log.onLeadership(({ leading }) => {
      if (!leading) grace ??= setTimeout(() => lost.resolve("lost"), LEADERSHIP_GRACE_MS);
    });
    proposed.catch(() => {});
    try {
      return await Promise.race([proposed, lost.promise]);
    } finally {
      stop();
      clearTimeout(grace);
    }
  }

  /**
   * Prepares the command and proposes it to the log of this node, for the caller `name`. `mayBeUsed`: an attempt with
   * this key may have been done.
   */
  async #propose(
    write: AdmittedWrite,
    key: Key | undefined,
    name = callerName(write.caller),
    mayBeUsed = true,
  ): Promise<Answer> {
    const { log, reader, writesRefused } = this.#options;
    const { operation, input, forwarded } = write;
    const refused = writesRefused?.();
    if (refused !== undefined) throw refused;
    const catchingUp = this.#caughtUp.wait(write.signal, WITHIN_MS);
    if (catchingUp !== undefined) await catchingUp;
    const level = levelOf(reader);
    const { v } = versionAt(operation, level);
    refuseInputAbove(level, operation, input);
    const limits = this.#options.limits();
    const keyed = key === undefined ? undefined : keyedPart(key, level, limits);
    let command: unknown;
    let agent: CommandAgent | undefined;
    try {
      agent = this.#agentOf(write, name, level);
      const full = keyed && outcomesFull(reader, { name: operation.name, caller: name, ...keyed }, log.timeMs());
      if (full !== undefined) throw full;
      command = operation.prepare(input, limits, write.proposer);
      // Judged by the command alone: by the state, a retry could be refused although its first attempt was done.
      const units = operation.work?.(command) ?? 0;
      refuseWork(units, operation.maxWork ?? Number.POSITIVE_INFINITY);
      write.spend(units);
    } catch (refusal) {
      if (key === undefined || level < INPUT_HASH_LEVEL || !mayBeUsed) throw refusal;
      return this.#doneBefore({ name: operation.name, caller: name, key: key.text }, write, refusal);
    }
    const proposal = {
      name: operation.name,
      v,
      input: command,
      caller: name,
      via: forwarded?.via ?? "",
      ...(keyed ?? { key: "" }),
      ...(key === undefined || level < INPUT_HASH_LEVEL
        ? {}
        : { inputHash: inputHashOf(askedInput(operation, input)) }),
      ...claimAt(level, write.client),
      ...(agent === undefined ? {} : { agent }),
      weight: weightOf(operation, command, reader),
    };
    const applied = await this.#proposed(write, proposal);
    return { output: applied.output, position: formatPosition(applied.position) };
  }

  /** Waits until a command is in the log of a majority and applied here. */
  #proposed({ trace }: AdmittedWrite, proposal: Parameters<Log["propose"]>[0]): ReturnType<Log["propose"]> {
    const { log, tracer } = this.#options;
    if (tracer === undefined) return log.propose(proposal);
    return inSpan(tracer, trace, "log.append", () => log.propose(proposal));
  }

  /** Returns the agent of the command. Throws Fault `agent_unknown`. */
  #agentOf(
    { agentKey: key, operation, countsType }: AdmittedWrite,
    caller: string,
    level: number,
  ): CommandAgent | undefined {
    if (key === undefined) return undefined;
    const { agents, reader } = this.#options;
    const row = level < AGENT_LEVEL ? undefined : agentOf(agents, reader, key, caller);
    // A handle that has ended must not keep its caller from getting a new one.
    if (row === undefined && operation.reveals !== undefined) return undefined;
    if (row === undefined) throw agentUnknown();
    const { name, type } = row;
    return { name, key, ...(type !== "" && countsType(type) ? { type } : {}) };
  }

  /**
   * Returns what was done under a key, where the same call is refused by now, such as after a limit was lowered. Throws
   * the refusal where nothing was.
   */
  async #doneBefore(call: KeyedCall, { operation, input }: AdmittedWrite, refusal: unknown): Promise<Answer> {
    const { log, reader, routing } = this.#options;
    let inputHash: string;
    try {
      inputHash = inputHashOf(askedInput(operation, input));
    } catch {
      // Too deep for any write that can have been done.
      throw refusal;
    }
    // An attempt that is still in the log is applied then.
    await log.barrier().catch(() => {
      throw notLeader(routing?.leader());
    });
    const known = knownOutcome(reader, { ...call, inputHash });
    if (known === undefined) throw refusal;
    if ("fault" in known) throw known.fault;
    return { output: known.output, position: formatPosition(log.positionAt(known.seq)) };
  }
}

/** Returns what a command says of its key, but for what it stands for. */
function keyedPart({ text, by }: Key, level: number, { maxOutcomeBytes }: WriteLimits) {
  const isLimited = level >= COUNTED_OUTCOMES_LEVEL && maxOutcomeBytes > 0;
  return {
    key: text,
    ...(by === "node" ? { nodeKey: true as const } : {}),
    ...(isLimited ? { outcomeBytes: maxOutcomeBytes } : {}),
  };
}

/** Returns what the client said of itself as a part of a command or a forward: builds of lower levels know none. */
function claimAt(level: number, client: string): { client?: string } {
  return level >= CLIENT_LEVEL && client !== "" ? { client } : {};
}

/** What a key stands for, whichever node prepares the write. */
function inputHashOf(input: Record<string, unknown>): string {
  return sha256Hex(canonicalJson(input));
}

/** Units of work that weigh as much as a byte: an entry takes about as much work in apply as a command may. */
const UNITS_PER_BYTE = MAX_COMMAND_WORK / MAX_ENTRY_BYTES;

function weightOf(operation: AnyWrite, command: unknown, reader: Reader): number {
  const units = operation.work?.(command, reader) ?? 0;
  return Math.max(operation.weight?.(command) ?? 0, Math.ceil(units / UNITS_PER_BYTE));
}

/** Returns the caller's key, else that of the node. */
function keyOf(write: AdmittedWrite, nodeKey: string): Key;
function keyOf(write: AdmittedWrite, nodeKey: string | undefined): Key | undefined;
function keyOf({ key }: AdmittedWrite, nodeKey: string | undefined): Key | undefined {
  if (key !== undefined) return { text: key, by: "caller" };
  return nodeKey === undefined ? undefined : { text: nodeKey, by: "node" };
}

/** Reports whether a write needs admin rights: those are valid only on the node that proved them. */
function needsAdmin({ operation, spaces }: AdmittedWrite): boolean {
  return operation.access.verb === "admin" || (spaces !== "visible" && spaces.some(isReservedSpace));
}
