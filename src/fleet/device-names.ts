// The names of devices as the tailnet shows them: first labels of their MagicDNS names, each of one device.

import type { Peer } from "../tailnet/index.ts";

/** Returns the names of a device, unless its id is not known, and of its peers, by StableNodeID. */
export function shownNames(
  own: { id: string; name: string } | undefined,
  peers: readonly Pick<Peer, "id" | "dnsName">[],
): ReadonlyMap<string, string> {
  const others = peers.map(({ id, dnsName }): [string, string] => [id, dnsName.split(".")[0] ?? ""]);
  return new Map(own === undefined ? others : [...others, [own.id, own.name]]);
}
