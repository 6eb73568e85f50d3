// Serves the peer path `feed` of a full member to edges: changes of their spaces, and how old this node's own state may
// be.

import { FEED, FeedServer, feedRequest } from "../cache/index.ts";
import { fleetValue, type Members } from "../fleet/index.ts";
import { openSleepClock } from "../lib/sleep-clock.ts";
import type { Log } from "../log/log.ts";
import { edgeModes } from "../operation/edge-modes.ts";
import { ANYONE, type ChangeRules } from "../operation/viewer.ts";
import type { PeerServer } from "../peer/server.ts";
import type { Reader } from "../store/store.ts";

export interface ServeFeedOptions {
  server: PeerServer;
  log: Log;
  reader: Reader;
  members: Members;
  changeRules: ChangeRules;
  /** Returns how old the state of this node may be, in ms; infinite while it is not known. */
  ageMs: () => number;
}

/** Registers the path. */
export function serveFeed({ server, log, reader, members, changeRules, ageMs }: ServeFeedOptions): void {
  const clock = openSleepClock();
  const feed = new FeedServer({
    log,
    reader,
    enrolled: (node) => {
      const member = members.get(node);
      // Full members may have all spaces.
      return member?.role === "edge" ? member.spaces : member === undefined ? undefined : ["*"];
    },
    isPublic: (change) => changeRules.get(change.operation)?.(change, ANYONE, reader) !== false,
    levelOf: (node) => members.get(node)?.level ?? 1,
    members: () => members.list(),
    modes: () => edgeModes(reader),
    fleet: () => fleetValue(reader, "fleet_id"),
    ageMs: () => Math.max(0, ageMs()),
    nowMs: () => clock.nowMs(),
  });
  server.register(FEED, {
    schema: feedRequest,
    handle: ({ node, input, signal }) => feed.serve(node, input, signal),
  });
}
