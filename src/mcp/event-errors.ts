// Errors of MCP Events: their numbers, which are those of the specification, or for ChatGPT those of its draft, and
// what they say to programs.

import { ProtocolError, ProtocolErrorCode } from "@modelcontextprotocol/server";
import { faultBody, sentenceOf } from "../lib/failed-result.ts";
import { Fault, type FaultCode } from "../lib/fault.ts";
import { asProtocolError } from "./errors.ts";

/** The errors that the extension defines. */
export type EventError = "NotFound" | "Forbidden" | "ResourceExhausted" | "Unsupported" | "CallbackEndpointError";

/** Which numbers a client knows. */
export type ErrorProfile = "spec" | "chatgpt";

const CODES: Readonly<Record<ErrorProfile, Readonly<Record<EventError, number>>>> = {
  spec: {
    ...{ NotFound: -32023, Forbidden: -32024, ResourceExhausted: -32025 },
    ...{ Unsupported: -32026, CallbackEndpointError: -32027 },
  },
  chatgpt: {
    ...{ NotFound: -32011, Forbidden: -32012, ResourceExhausted: -32013 },
    ...{ Unsupported: -32014, CallbackEndpointError: -32015 },
  },
};

const CHATGPT = /^(?:chatgpt|openai)/i;

/** Faults that are an error of the extension, with what it says to programs. */
const ERRORS: Readonly<Partial<Record<FaultCode, EventError>>> = {
  not_found: "NotFound",
  forbidden: "Forbidden",
  agent_unknown: "Forbidden",
  rate_limited: "ResourceExhausted",
  quota_exceeded: "ResourceExhausted",
};

/** Facts of a callback that no admin has allowed: for its space, or with its host. */
const NO_TARGET = "no_target";
const NO_HOST = "no_host";

/** Returns the profile of a client by what it says of itself (`claimOfInfo`). */
export function profileOf(client: string): ErrorProfile {
  return CHATGPT.test(client) ? "chatgpt" : "spec";
}

/** An error as JSON-RPC has it. */
export interface ErrorObject {
  code: number;
  message: string;
  data: Record<string, unknown>;
}

/** Returns an error of the extension. */
export function eventError(
  profile: ErrorProfile,
  name: EventError,
  message: string,
  data: Readonly<Record<string, unknown>>,
): ErrorObject {
  return { code: CODES[profile][name], message, data: { error: name, ...data } };
}

/** Returns a Fault as an error; undefined where JSON-RPC's own errors say it. */
export function eventErrorOf(
  profile: ErrorProfile,
  fault: Fault,
  kind: "event" | "subscription",
): ErrorObject | undefined {
  const name = nameOf(fault);
  if (name === undefined) return undefined;
  const told = { ...faultBody(fault), ...factsOf(name, fault, kind) };
  return eventError(profile, name, sentenceOf(fault), told);
}

function nameOf({ code, facts: { callback } }: Fault): EventError | undefined {
  if (callback === NO_TARGET) return "Unsupported";
  return callback === undefined || callback === NO_HOST ? ERRORS[code] : "CallbackEndpointError";
}

function factsOf(name: EventError, { code, facts }: Fault, kind: "event" | "subscription"): Record<string, unknown> {
  switch (name) {
    case "NotFound":
      return { kind };
    case "ResourceExhausted":
      return { limit: code === "quota_exceeded" ? "subscriptions" : "requests" };
    case "Unsupported":
      return { feature: "deliveryMode", value: "webhook" };
    case "CallbackEndpointError":
      return { reason: facts.callback };
    case "Forbidden":
      return {};
  }
}

/** Returns what a handler throws to the SDK in place of what it caught. */
export function asEventError(profile: ErrorProfile, error: unknown, kind: "event" | "subscription"): unknown {
  const known = error instanceof Fault ? eventErrorOf(profile, error, kind) : undefined;
  return known === undefined ? asProtocolError(error) : new ProtocolError(known.code, known.message, known.data);
}

/** Returns the refusal of params that are not what the protocol has. */
export function invalidParams(method: string, problem: string, example: unknown): ProtocolError {
  const words = `${method}: ${problem}. For example: ${JSON.stringify({ params: example })}`;
  return new ProtocolError(ProtocolErrorCode.InvalidParams, words);
}
