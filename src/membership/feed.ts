// The feed of this node for edges: what a full node answers on the peer path `feed`, and how old its own state may be.

import { FEED, FeedServer, feedRequest } from "../cache/index.ts";
import { fleetValue, type Members } from "../fleet/index.ts";
import { openSleepClock } from "../lib/sleep-clock.ts";
import type { Log } from "../log/log.ts";
import { edgeModes } from "../operation/edge-modes.ts";
import type { PeerServer } from "../peer/server.ts";
import type { Reader } from "../store/store.ts";

export interface ServeFeedOptions {
  server: PeerServer;
  log: Log;
  reader: Reader;
  members: Members;
  /** How old the state of this node may be, in ms; infinite while that is not known. */
  ageMs: () => number;
}

/** Answers edges from now on. */
export function serveFeed({ server, log, reader, members, ageMs }: ServeFeedOptions): void {
  const clock = openSleepClock();
  const feed = new FeedServer({
    log,
    reader,
    enrolled: (node) => {
      const member = members.get(node);
      // Full members hold all there is.
      return member?.role === "edge" ? member.spaces : member === undefined ? undefined : ["*"];
    },
    members: () => members.list(),
    modes: () => edgeModes(reader),
    fleet: () => fleetValue(reader, "fleet_id"),
    ageMs: () => Math.max(0, ageMs()),
    nowMs: () => clock.nowMs(),
  });
  server.register(FEED, {
    schema: feedRequest,
    handle: ({ node, input, signal }) => feed.answer(node, input, signal),
  });
}
