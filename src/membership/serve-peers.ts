// The peer paths of a full member: `about`, `join`, `beat` and `leave`. Decides who may ask; what each path does is
// fleet/'s.

import { z } from "zod";
import type { Access } from "../access/access.ts";
import {
  ABOUT,
  type Admission,
  BEAT,
  type Beats,
  beatShape,
  fleetMemberRemove,
  isCandidate,
  JOIN,
  notTheLeader,
  sentJoinRequest,
} from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import type { PeerServer } from "../peer/server.ts";
import type { FleetState } from "./fleet-state.ts";
import type { OwnNode } from "./own-node.ts";

interface Served {
  access: Access;
  admission: Admission;
  beats: Beats;
  node: Pick<OwnNode, "tags">;
  state: Pick<FleetState, "about" | "leading" | "leader" | "propose">;
  /** Reports whether this node has the store of its fleet. */
  ready: () => boolean;
}

/** Registers the paths. */
export function servePeers(server: PeerServer, served: Served): void {
  const { access, admission, beats, node: own, state, ready } = served;
  server.register(ABOUT, {
    open: true,
    schema: z.object({}),
    handle: async ({ caller, member }) => {
      const known = member !== undefined || access.rights(caller).permitsAnything();
      if (!known && !isCandidate(caller, own.tags(), access.joinRoles(caller))) {
        throw new Fault("forbidden", "This device may not know which fleet this is", {
          hint: "Give it the fleet's tag or a grant.",
        });
      }
      // Its store is empty, with an id that means nothing to anybody.
      if (!ready())
        throw new Fault("unavailable", "This node is in no fleet yet: it waits to be admitted, or for the store");
      return state.about();
    },
  });
  server.register(JOIN, {
    open: true,
    schema: sentJoinRequest,
    handle: ({ caller, input }) => admission.handle(caller, input),
  });
  server.register(BEAT, { schema: beatShape, handle: ({ node, input }) => beats.answer(node, input) });
  server.register("leave", {
    schema: z.object({}),
    handle: async ({ node }) => {
      if (!state.leading()) throw notTheLeader(state.leader(), "Leaving");
      return state.propose(fleetMemberRemove, { node }, `node:${node}`);
    },
  });
}
