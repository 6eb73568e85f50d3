// One message to the member that is asked now, and again to the next one when that died, drains or cannot serve: a write under the same key, a wait from the same position.
// How long this may take, and which member is next, is the route's.

import { isObject } from "../lib/json-object.ts";
import { pause } from "../lib/pause.ts";
import { Lost, NotSent, Unserved } from "./endpoint.ts";
import { LinkError, type Message } from "./message.ts";
import { away, lost, type Member, type Route } from "./route.ts";
import { argumentsOf, isRepeatable, toolOf, withArguments } from "./tools.ts";

/** Time between attempts at the same member, in ms: the first, and the longest. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1000;

/** Sends `text` to the member and hands on its answers. Rejects with NotSent, Lost, Unserved or LinkError. */
export type Attempt = (member: Member, text: string, signal: AbortSignal) => Promise<void>;

export interface Carried {
  route: Route;
  text: string;
  message: Message;
  signal: AbortSignal;
  attempt: Attempt;
  /** Takes the answer of the last member that could not serve the call. */
  unserved: (text: string) => void | Promise<void>;
}

/** Carries one message until it is answered, or its failure is final: rejects with LinkError, or with the signal's reason. */
export async function carry({ route, text, message, signal, attempt, unserved }: Carried): Promise<void> {
  const startedMs = performance.now();
  let failingSinceMs: number | undefined;
  let waitMs = FIRST_PAUSE_MS;
  let call: Repeatable | undefined;
  let unsure: { member: Member; cause: Error } | undefined;
  const unable = new Map<string, string>();
  for (;;) {
    const member = await route.member(signal);
    // All that are left have said that they cannot.
    const said = unable.get(member.name);
    if (said !== undefined && call?.waits !== true) return unserved(said);
    call ??= await repeatable(route, member, text, message, signal);
    // A key belongs to a caller: as somebody else the same write would be another one.
    if (unsure !== undefined && call.writes && unsure.member.caller !== member.caller)
      throw lost(unsure.member, unsure.cause);
    const failure = await tried(route, member, call.textFor(member), signal, attempt);
    if (failure === undefined) return;
    route.failed(member, failure instanceof Unserved ? "busy" : "gone", failure.message);
    failingSinceMs ??= performance.now();
    const late = performance.now() - failingSinceMs > route.patienceMs;
    const mayRepeat = failure instanceof NotSent || (route.several && call.repeatable);
    if (failure instanceof Unserved) {
      // Who waited for something may be told to wait again; what took so long is not asked for twice.
      const slow = !call.waits && performance.now() - startedMs > route.patienceMs / 2;
      if (!mayRepeat || late || slow) return unserved(failure.text);
      unable.set(member.name, failure.text);
    } else if (!mayRepeat) throw lost(member, failure);
    else if (late) throw away(failure instanceof NotSent && failure.whole ? failure.message : nobody(member, failure));
    if (!(failure instanceof NotSent)) unsure = { member, cause: failure };
    await pause(waitMs, signal);
    waitMs = Math.min(waitMs * 2, route.several ? LONGEST_PAUSE_MS : FIRST_PAUSE_MS);
  }
}

/** Makes one attempt. Answers the failure after which another member may be asked; throws what is final. */
async function tried(
  route: Route,
  member: Member,
  text: string,
  signal: AbortSignal,
  attempt: Attempt,
): Promise<NotSent | Lost | Unserved | undefined> {
  const release = route.hold(member);
  try {
    await attempt(member, text, AbortSignal.any([signal, member.gone]));
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof LinkError) throw error;
    if (member.gone.aborted) return new Lost(String(member.gone.reason));
    if (error instanceof NotSent || error instanceof Lost || error instanceof Unserved) return error;
    throw error;
  } finally {
    release();
  }
}

function nobody(member: Member, { message }: Error): string {
  return `No cairn node answers at ${member.name} (${message})`;
}

interface Repeatable {
  /** What is sent to this member: with the key and the position that every attempt has. */
  textFor: (member: Member) => string;
  repeatable: boolean;
  writes: boolean;
  waits: boolean;
}

/** The call as it can be sent several times. */
async function repeatable(
  route: Route,
  member: Member,
  text: string,
  message: Message,
  signal: AbortSignal,
): Promise<Repeatable> {
  const tool = toolOf(message, member.tools);
  const plain = { repeatable: isRepeatable(message, tool), writes: false, waits: false };
  if (!route.several || tool === undefined) return { ...plain, textFor: () => text };
  const given = argumentsOf(message);
  const added: Record<string, string> = {};
  if (tool.keyed && given["idempotency_key"] === undefined) added["idempotency_key"] = `bridge-${crypto.randomUUID()}`;
  // "position" is an alias of "since": two of one meaning would be refused.
  if (tool.waits && given["since"] === undefined && given["position"] === undefined) {
    const position = await member.position(signal);
    if (position !== undefined) added["since"] = position;
  }
  const mayBePlaced = tool.placed && given["min_position"] === undefined;
  return {
    repeatable: plain.repeatable,
    writes: !tool.reads,
    waits: tool.waits,
    textFor: ({ behind }) =>
      withArguments(text, mayBePlaced && behind !== undefined ? { ...added, min_position: behind } : added),
  };
}

/** Tells the route the newest position that an answer names. */
export function note(route: Route, { result }: Message): void {
  const content = result?.["structuredContent"];
  if (isObject(content) && typeof content["position"] === "string") route.saw(content["position"]);
}
