// The answering side of a forward: the caller that a member names is looked for by this node itself, judged again, and never more than the member's role may bring (security.md 9).

import type { Caller } from "../access/caller.ts";
import { Fault } from "../lib/fault.ts";
import { answerValue, type ForwardFrame, forwardFrame, inputOf } from "./forward-wire.ts";
import type { Invoker } from "./invoke.ts";
import { capOf, localName } from "./routing.ts";

export interface AnswerForwardedOptions {
  invoker: Invoker;
  /** The caller that a StableNodeID is in this node's own network map, or undefined where it sees none. */
  callerOf: (id: string, signal: AbortSignal) => Promise<Caller | undefined>;
}

/** A forwarding member, as the membership in the log has it. */
export interface ForwardingMember {
  role: "central" | "regional" | "edge";
  spaces: readonly string[];
}

const LOCAL: ReadonlySet<string> = new Set(["local", "local:bridge", "local:dev"]);

/** The handler of the peer path `forward`. */
export function answerForwarded({ invoker, callerOf }: AnswerForwardedOptions) {
  return {
    schema: forwardFrame,
    handle: async (request: {
      node: string;
      member: ForwardingMember | undefined;
      input: ForwardFrame;
      signal: AbortSignal;
    }): Promise<unknown> => {
      const { node, member, input: frame, signal } = request;
      if (member === undefined) throw new Fault("not_a_member", `${node} is no member of this fleet`);
      const found = LOCAL.has(frame.caller)
        ? callerOfMachine(frame.caller, node)
        : await callerOf(frame.caller, signal);
      if (found === undefined) throw unseen(frame.caller);
      const caller: Caller = frame.readOnly ? readOnly(found) : found;
      const answer = await invoker.invoke({
        operation: frame.operation,
        input: inputOf(frame),
        caller,
        signal,
        surface: "peer",
        forwarded: {
          via: node,
          ...capOf(member),
          ...(frame.nodeKey === undefined ? {} : { nodeKey: frame.nodeKey }),
        },
      });
      return answerValue(answer);
    },
  };
}

/** One object for one caller: the gate keeps rights by it. */
const readOnlyTwins = new WeakMap<Caller, Caller>();

function readOnly(caller: Caller): Caller {
  const known = readOnlyTwins.get(caller);
  if (known !== undefined) return known;
  const twin: Caller = { ...caller, readOnly: true };
  readOnlyTwins.set(caller, twin);
  return twin;
}

/** What a member says of callers of its own machine cannot be checked: its name stands in theirs. */
function callerOfMachine(id: string, member: string): Caller {
  return { kind: "local", id: localName(id, member), node: member, login: "", tags: [], own: false, grants: [] };
}

function unseen(id: string): Fault {
  return new Fault("forward_unseen", `The node that orders writes does not see the device ${JSON.stringify(id)}`, {
    hint: "Make the fleet's tag (such as tag:cairn) the dst of the caller's grant in the tailnet policy, and not one node of it.",
  });
}
