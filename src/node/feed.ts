// The feed of this node for edges: what a full node answers on the peer path `feed`, and how old its own state may be.

import { FEED, FeedServer, feedRequest, openSleepClock } from "../cache/index.ts";
import { edgeModes } from "../context/index.ts";
import { fleetValue, type Members } from "../fleet/index.ts";
import type { Log } from "../log/log.ts";
import type { PeerServer } from "../peer/server.ts";
import type { Reader } from "../store/store.ts";

export interface ServeFeedOptions {
  server: PeerServer;
  log: Log;
  reader: Reader;
  members: Members;
  /** How old the state of this node may be, in seconds: 0 where it orders writes; undefined while that is not known. */
  ageSeconds: () => number | undefined;
}

/** Where nobody knows how old a state is, it is told as this old: an edge then follows another node, and its answers say so. */
const UNKNOWN_AGE_MS = 24 * 60 * 60 * 1000;

/** Answers edges from now on. */
export function serveFeed({ server, log, reader, members, ageSeconds }: ServeFeedOptions): void {
  const clock = openSleepClock();
  const feed = new FeedServer({
    log,
    reader,
    enrolled: (node) => {
      const member = members.get(node);
      // Full members hold all there is.
      return member?.role === "edge" ? member.spaces : member === undefined ? undefined : ["*"];
    },
    nodes: () =>
      members
        .list()
        .filter(({ role, state }) => role !== "edge" && state === "active")
        .map(({ node }) => node),
    modes: () => edgeModes(reader),
    fleet: () => fleetValue(reader, "fleet_id"),
    ageMs: () => {
      const seconds = ageSeconds();
      return seconds === undefined ? UNKNOWN_AGE_MS : seconds * 1000;
    },
    nowMs: () => clock.nowMs(),
  });
  server.register(FEED, {
    schema: feedRequest,
    handle: ({ node, input, signal }) => feed.answer(node, input, signal),
  });
}
