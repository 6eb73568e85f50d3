// Finds the callers that a text names: the local ways in, devices that the tailnet shows now, and logins or tags
// without a visible device.

import type { Caller } from "../../access/caller.ts";
import { isLoginOf } from "../../access/login.ts";
import { reasonOf } from "../../lib/reason-of.ts";
import type { FindCallers, NamedCaller } from "../../operation/node-parts.ts";
import type { Peer } from "../../tailnet/index.ts";
import type { NodeState, TailnetConnection } from "../node-state.ts";
import { localCaller } from "./identify.ts";

/** A user may have many devices, and their rights seldom differ. */
const MAX_DEVICES = 20;
const NOT_SEEN =
  "No device of it is seen on the tailnet now, so grants of the tailnet policy are not known; the policy file and " +
  "settings are.";

/** Returns the function that finds callers. Without a tailnet it finds only the local ones. */
export function findCallers(state: Pick<NodeState, "connection">): FindCallers {
  return async (name, signal) => {
    if (name === "local" || name === "local:bridge" || name === "local:dev")
      return [{ caller: localCaller(name), note: "" }];
    const joined = state.connection();
    const text = name.replace(/^(user|node):/, "");
    const peers = joined === undefined ? [] : (await joined.tailnet.peers()).filter((peer) => isMeant(peer, text));
    const found: NamedCaller[] = [];
    for (const peer of peers.slice(0, MAX_DEVICES)) {
      signal.throwIfAborted();
      if (joined === undefined) break;
      found.push(await callerOf(peer, joined));
    }
    return found.length > 0 ? found : unseen(text);
  };
}

function isMeant(peer: Peer, name: string): boolean {
  const plain = name.toLowerCase().replace(/\.$/, "");
  return (
    peer.id === name ||
    isLoginOf(name, peer.login) ||
    peer.tags.includes(name) ||
    peer.ips.includes(name) ||
    peer.hostname.toLowerCase() === plain ||
    peer.dnsName.toLowerCase() === plain
  );
}

async function callerOf(peer: Peer, { tailnet, callers }: TailnetConnection): Promise<NamedCaller> {
  try {
    const caller = await callers.of(JSON.stringify(await tailnet.whois(peer.ips[0] ?? "")));
    return { caller, note: peer.online ? "" : "The device is offline now." };
  } catch (error) {
    const why = reasonOf(error);
    const { id, dnsName: node, login, tags } = peer;
    return {
      caller: {
        kind: peer.shared ? "shared" : tags.length > 0 ? "tagged" : "user",
        id,
        node,
        login,
        tags,
        own: false,
        grants: [],
      },
      note: `The tailnet half refuses it, whatever its grants: ${why}`,
    };
  }
}

function unseen(name: string): NamedCaller[] {
  const base: Caller = { kind: "user", id: "unseen", node: "", login: "", tags: [], own: false, grants: [] };
  if (name.startsWith("tag:")) return [{ caller: { ...base, kind: "tagged", tags: [name] }, note: NOT_SEEN }];
  return name.includes("@") ? [{ caller: { ...base, login: name.replace(/@$/, "") }, note: NOT_SEEN }] : [];
}
