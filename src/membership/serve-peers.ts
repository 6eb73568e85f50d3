// What peers ask of a full member: which fleet this is, to be let in, beats, and to be let go. Who may ask what; what it does is fleet/'s.

import { z } from "zod";
import type { Access } from "../access/access.ts";
import {
  ABOUT,
  type About,
  type Admission,
  BEAT,
  type Beats,
  beatShape,
  isCandidate,
  JOIN,
  type Member,
  notTheLeader,
  sentJoinRequest,
} from "../fleet/index.ts";
import { Fault } from "../lib/fault.ts";
import type { PeerServer } from "../peer/server.ts";

interface Served {
  access: Access;
  admission: Admission;
  beats: Beats;
  /** Tags of this node. */
  tags: () => readonly string[];
  about: () => About;
  leading: () => boolean;
  leader: () => Member | undefined;
  /** Proposes that this member goes. */
  remove: (node: string) => Promise<unknown>;
}

/** Registers the paths. */
export function servePeers(server: PeerServer, served: Served): void {
  const { access, admission, beats, tags, about, leading, leader, remove } = served;
  server.register(ABOUT, {
    open: true,
    schema: z.object({}),
    handle: async ({ caller, member }) => {
      const known = member !== undefined || access.rights(caller).permitsAnything();
      if (known || isCandidate(caller, tags(), access.joinRoles(caller))) return about();
      throw new Fault("forbidden", "This device may not know which fleet this is", {
        hint: "Give it the fleet's tag or a grant.",
      });
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
      if (!leading()) throw notTheLeader(leader(), "Leaving");
      return remove(node);
    },
  });
}
