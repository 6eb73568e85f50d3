// Serves the peer path `forward`. This node looks up the caller that a member names, judges it again, and allows no
// more than the role of that member does (security.md 9).

import { asReader, type Caller } from "../access/caller.ts";
import { clientClaim } from "../lib/client-claim.ts";
import { Fault } from "../lib/fault.ts";
import { decodeInput, encodeAnswer, type ForwardFrame, forwardFrame, traceIn } from "./forward-frame.ts";
import type { Invoker } from "./invoke.ts";
import { capOf, localCallerName } from "./routing.ts";

export interface ServeForwardedOptions {
  invoker: Invoker;
  /** Returns the caller that a StableNodeID is in this node's own network map; undefined for an unknown device. */
  callerOf: (id: string, signal: AbortSignal) => Promise<Caller | undefined>;
}

/** A member that forwards, as the membership in the log has it. */
export interface ForwardingMember {
  role: "central" | "regional" | "edge";
  spaces: readonly string[];
}

const LOCAL_CALLERS: ReadonlySet<string> = new Set(["local", "local:bridge", "local:dev"]);

/** Returns the handler of the peer path `forward`. */
export function serveForwarded({ invoker, callerOf }: ServeForwardedOptions) {
  return {
    schema: forwardFrame,
    handle: async (request: {
      node: string;
      member: ForwardingMember | undefined;
      input: ForwardFrame;
      signal: AbortSignal;
    }): Promise<unknown> => {
      const { node, member, input: frame, signal } = request;
      if (member === undefined) throw new Fault("not_a_member", `${node} is not a member of this fleet`);
      const found = await callerNamed(frame.caller, node, (id) => callerOf(id, signal));
      const trace = traceIn(frame);
      const answer = await invoker.invoke({
        operation: frame.operation,
        input: decodeInput(frame),
        caller: frame.readOnly ? asReader(found) : found,
        client: clientClaim(frame.client ?? ""),
        ...(frame.agent === undefined ? {} : { agentKey: frame.agent }),
        ...(trace === undefined ? {} : { trace }),
        signal,
        surface: "peer",
        forwarded: {
          via: node,
          ...capOf(member),
          ...(frame.nodeKey === undefined ? {} : { nodeKey: frame.nodeKey }),
        },
      });
      return encodeAnswer(answer);
    },
  };
}

/** Returns the caller that a member names. `callerOf` looks it up. Rejects with Fault `forward_unseen`. */
export async function callerNamed(
  id: string,
  member: string,
  callerOf: (id: string) => Promise<Caller | undefined>,
): Promise<Caller> {
  const found = LOCAL_CALLERS.has(id) ? localCallerOf(id, member) : await callerOf(id);
  if (found === undefined) throw unseen(id);
  return found;
}

/**
 * Returns a local caller of another member's machine. Its identity cannot be checked, so its name includes the member.
 */
function localCallerOf(id: string, member: string): Caller {
  return { kind: "local", id: localCallerName(id, member), node: member, login: "", tags: [], own: false, grants: [] };
}

function unseen(id: string): Fault {
  return new Fault("forward_unseen", `The node that orders writes does not see the device ${JSON.stringify(id)}`, {
    hint: "In the tailnet policy, give the caller's grant the fleet's tag (such as tag:cairn) as its dst, not a single node.",
  });
}
