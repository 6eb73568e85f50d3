// The surface of the peer port: `POST /peer/<path>` with a frame, answered by a frame. The listener proves the caller
// first. Members of the fleet may call every path, other devices only open ones; handlers do the rest.

import type { z } from "zod";
import type { Caller } from "../access/caller.ts";
import { MAX_FRAME_BYTES } from "../lib/bounds.ts";
import { ByteBudget, type ByteHold } from "../lib/byte-budget.ts";
import { FAULTS, Fault } from "../lib/fault.ts";
import { type BodyHold, UNBOUNDED } from "../lib/request-body.ts";
import { Slots } from "../lib/slots.ts";
import { UPGRADED, type Upgrade } from "../lib/socket.ts";
import { unexpectedFault } from "../lib/unexpected.ts";
import { faultValue } from "./fault-frame.ts";
import { fleetMark } from "./fleet-mark.ts";
import {
  answerNotSent,
  frameResponse,
  MAX_STRANGER_FRAME_BYTES,
  MEMBER_BYTES,
  readBody,
  STRANGER_BYTES,
} from "./frame-body.ts";
import { decodeFrame, encodeFrame, FRAME_TYPE } from "./frames.ts";
import { PASSED_HEADER } from "./link.ts";

/** A member of the fleet, as far as peer paths need it. */
export interface PeerMember {
  role: "central" | "regional" | "edge";
  /** Spaces that an edge is enrolled for; globs. Full members hold all. */
  spaces: readonly string[];
  /** Its raft server id; "" for an edge. */
  server: string;
}

/** A call of a peer, parsed. */
export interface PeerRequest<Input> {
  caller: Caller;
  /** StableNodeID of the calling device. */
  node: string;
  /** Undefined only on open paths. */
  member: PeerMember | undefined;
  input: Input;
  signal: AbortSignal;
}

/** The handler of a path. */
export interface PeerHandler<Schema extends z.ZodType> {
  /** Devices that are no members may call it too. */
  open?: true;
  schema: Schema;
  handle(request: PeerRequest<z.output<Schema>>): Promise<unknown>;
}

export interface PeerServerOptions {
  /** Returns the member with a StableNodeID, by the membership in the log. */
  members: (node: string) => PeerMember | undefined;
  /**
   * Reports whether this node has its fleet's list of members yet. Before that a stranger gets `not_ready` instead of
   * `not_a_member` (replication.md 18). Left out: it has.
   */
  ready?: () => boolean;
  /** Id of the fleet, for the mark in refusals; left out: they carry none. */
  fleet?: () => string;
  /** Logs an error that is no Fault, and returns the id under which it was logged. */
  onUnexpected: (error: unknown, path: string) => string;
}

/** Calls of one device at the same time: all agents of a member may write at once, a stranger only wants to join. */
const MAX_OF_MEMBER = 1024;
const MAX_OF_STRANGER = 4;
/** Calls of all strangers together. */
const MAX_OF_STRANGERS = 64;
const STRANGERS = "strangers";

/** What is known of a request that a member passes on. */
interface Passed {
  node: string;
  member: PeerMember;
  hold: BodyHold;
  upgrade?: Upgrade | undefined;
  /** Whether it still may pass requests on. */
  stays: () => boolean;
}

/** Answers what a member passes on, an edge too, with `UPGRADED` what became a WebSocket. Rejects with Faults. */
export interface PassedServer {
  fetchPassed(request: Request, by: Passed): Promise<Response>;
}

interface Registered {
  open: boolean;
  run(request: Omit<PeerRequest<unknown>, "input">, value: unknown): Promise<unknown>;
}

/** Runs the handlers of peer paths. */
export class PeerServer {
  readonly #options: PeerServerOptions;
  readonly #paths = new Map<string, Registered>();
  readonly #served = new Map<string, PassedServer>();
  readonly #running = new Slots();
  /** Bytes of questions that are read or being answered. */
  readonly #questions = { members: new ByteBudget(MEMBER_BYTES), strangers: new ByteBudget(STRANGER_BYTES) };
  /** Bytes of answers that wait to be sent. */
  readonly #answers = { members: new ByteBudget(MEMBER_BYTES), strangers: new ByteBudget(STRANGER_BYTES) };

  constructor(options: PeerServerOptions) {
    this.#options = options;
  }

  /** Adds a path. Throws where it is registered already. */
  register<Schema extends z.ZodType>(path: string, handler: PeerHandler<Schema>): void {
    if (this.#paths.has(path)) throw new Error(`the peer path ${path} is registered already`);
    this.#paths.set(path, {
      open: handler.open === true,
      run: (request, value) => {
        const parsed = handler.schema.safeParse(value);
        if (!parsed.success) throw misshapen(path, parsed.error);
        return handler.handle({ ...request, input: parsed.data });
      },
    });
  }

  /** Lets members pass requests of their callers on, to paths that begin so. */
  serve(prefix: string, server: PassedServer): void {
    this.#served.set(prefix, server);
  }

  /** Answers a request. Never rejects: a refusal is a frame as well. */
  async fetch(request: Request, caller: Caller, hold: BodyHold = UNBOUNDED, upgrade?: Upgrade): Promise<Response> {
    const { pathname } = new URL(request.url);
    const path = pathname.slice("/peer/".length);
    const served = [...this.#served].find(([prefix]) => pathname.startsWith(prefix))?.[1];
    try {
      if (served !== undefined) return await this.#pass(request, caller, { served, hold, upgrade });
      const value = await this.#answer(request, caller, path);
      return this.#send(value, caller, request.signal);
    } catch (error) {
      return refusal(error instanceof Fault ? error : this.#unexpected(error, path));
    }
  }

  async #pass(
    request: Request,
    caller: Caller,
    { served, ...given }: { served: PassedServer } & Pick<Passed, "hold" | "upgrade">,
  ): Promise<Response> {
    const member = caller.kind === "local" ? undefined : this.#options.members(caller.id);
    if (member === undefined)
      throw (this.#options.ready?.() ?? true) ? notAMember(caller, this.#options.fleet?.() ?? "") : notReady();
    const release = this.#take(caller, true);
    const stays = () => this.#options.members(caller.id)?.role === member.role;
    try {
      const response = await served.fetchPassed(request, { node: caller.id, member, stays, ...given });
      if (response !== UPGRADED) response.headers.set(PASSED_HEADER, "1");
      return response;
    } finally {
      release();
    }
  }

  async #answer(request: Request, caller: Caller, path: string): Promise<unknown> {
    const { pathname } = new URL(request.url);
    const found = pathname.startsWith("/peer/") ? this.#paths.get(path) : undefined;
    const member = caller.kind === "local" ? undefined : this.#options.members(caller.id);
    // A stranger learns nothing, not even which paths exist.
    if (member === undefined && found?.open !== true)
      throw (this.#options.ready?.() ?? true) ? notAMember(caller, this.#options.fleet?.() ?? "") : notReady();
    if (found === undefined) {
      throw new Fault("not_found", `There is no peer path ${JSON.stringify(path.slice(0, 80))}`, {
        hint: "Run the same version of cairn on all nodes of the fleet.",
      });
    }
    if (request.method !== "POST")
      throw new Fault("method_not_allowed", "Peers speak by POST", { details: { allow: "POST" } });
    const release = this.#take(caller, member !== undefined);
    const hold = this.#questions[member === undefined ? "strangers" : "members"].hold(caller.id);
    try {
      const max = member === undefined ? MAX_STRANGER_FRAME_BYTES : MAX_FRAME_BYTES;
      const value = decodeFrame(await body(request, caller, hold, max));
      return await found.run({ caller, node: caller.id, member, signal: request.signal }, value);
    } finally {
      hold.release();
      release();
    }
  }

  /** Takes a slot for a call. Fault `rate_limited`. */
  #take(caller: Caller, isMember: boolean): () => void {
    const own = this.#running.take(caller.id, isMember ? MAX_OF_MEMBER : MAX_OF_STRANGER);
    if (own === undefined) throw tooMany(caller);
    if (isMember) return own;
    const shared = this.#running.take(STRANGERS, MAX_OF_STRANGERS);
    if (shared !== undefined)
      return () => {
        own();
        shared();
      };
    own();
    throw tooMany(caller);
  }

  #send(value: unknown, caller: Caller, signal: AbortSignal): Response {
    const isMember = caller.kind !== "local" && this.#options.members(caller.id) !== undefined;
    const budget = this.#answers[isMember ? "members" : "strangers"];
    const response = frameResponse(200, encodeFrame({ value: value ?? null }), { budget, key: caller.id, signal });
    if (response === undefined) throw answerNotSent();
    return response;
  }

  #unexpected(error: unknown, path: string): Fault {
    const id = this.#options.onUnexpected(error, path);
    return unexpectedFault("The peer call", id, `The log of the asked node says more under ${id}.`);
  }
}

async function body(request: Request, caller: Caller, hold: ByteHold, max: number): Promise<Uint8Array> {
  if (request.headers.get("content-type") !== FRAME_TYPE) {
    throw new Fault(
      "unsupported_media_type",
      "Nodes of a fleet send each other messages of one kind, and this is none",
      {
        hint: `Send Content-Type: ${FRAME_TYPE}.`,
      },
    );
  }
  const read = await readBody(request, hold, max).catch((cause: unknown) => {
    throw new Fault("cancelled", "The peer went away before its message was complete", { cause });
  });
  if (read === "too_large") throw tooLarge(max);
  if (read === "too_many") throw tooMany(caller);
  return read;
}

function tooMany(caller: Caller): Fault {
  return new Fault("rate_limited", `The device ${caller.node} asks too much at the same time`, {
    hint: "Wait, then try again.",
    facts: { outcome: "not_done" },
    details: { retryAfterSeconds: 1 },
  });
}

function tooLarge(max: number): Fault {
  return new Fault("too_large", `The message of a peer is larger than ${max} bytes`, {
    hint: "Send less at once.",
    details: { limit: max },
  });
}

function refusal(fault: Fault): Response {
  const headers = { "Content-Type": FRAME_TYPE };
  return new Response(encodeFrame(faultValue(fault)), { status: FAULTS[fault.code].status, headers });
}

function misshapen(path: string, error: z.ZodError): Fault {
  const issue = error.issues[0];
  const at = issue?.path.join(".") ?? "";
  return new Fault(
    "invalid_input",
    `The peer path ${path} got ${at === "" ? "a value" : at}: ${issue?.message ?? "invalid"}`,
    {
      hint: "Run the same version of cairn on all nodes of the fleet.",
    },
  );
}

function notReady(): Fault {
  return new Fault("not_ready", "This node does not know the members of its fleet yet", {
    hint: "Ask another member, or wait.",
    details: { retryAfterSeconds: 2 },
  });
}

function notAMember(caller: Caller, fleet: string): Fault {
  return new Fault("not_a_member", `The device ${JSON.stringify(caller.node)} is no member of this fleet`, {
    hint: "Let it join first: `cairn members` shows who is in.",
    facts: { fleetMark: fleetMark(fleet, caller.id) },
  });
}
