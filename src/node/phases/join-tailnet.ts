// Last phase of a start: the tailnet, and on it the membership in a fleet. From here on the node is up; who reaches it
// depends on logins, keys and networks, and may change at any time.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { MAX_FRAME_BYTES } from "../../lib/bounds.ts";
import { counted } from "../../lib/counted.ts";
import { type MemberStart, openEdgeMember, openFullMember, type RunningMember } from "../../membership/index.ts";
import { logFor } from "../../observe/logging.ts";
import { PEER_PORT } from "../../peer/link.ts";
import type { Tailnet } from "../../tailnet/index.ts";
import { Callers } from "../listeners/callers.ts";
import type { OpenListeners } from "../listeners/open-listeners.ts";
import type { StartContext } from "../start-context.ts";
import { TailnetSession } from "../tailnet/tailnet-session.ts";
import { newSecret, upParams } from "../tailnet/up-params.ts";
import type { Reporting } from "./announce.ts";
import type { BuiltNode } from "./build-node.ts";
import type { OpenedData } from "./open-data.ts";

/** The results of the earlier phases. */
export interface EarlierPhases {
  opened: OpenedData;
  built: BuiltNode;
  listeners: OpenListeners;
  reporting: Reporting;
}

/** Joins. Resolves when the node serves this machine and the Go half runs its engine; the rest follows as events. */
export async function joinTailnet(start: StartContext, earlier: EarlierPhases): Promise<TailnetSession> {
  const tailnet = await loadTailnet(start, earlier.opened);
  const ingressSecret = newSecret();
  connect(start, earlier, { tailnet, ingressSecret });
  const member = await openMember(start, earlier, tailnet);
  start.closers.add("fleet", () => member?.stop());
  const session = openSession(start, earlier, { tailnet, ingressSecret, member });
  start.state.attachSession(session);
  start.closers.add("tailnet session", () => session.stop());
  await session.up();
  // It serves this machine. A login may take a person a day, which is no reason to call the start failed.
  earlier.reporting.manager.ready();
  return session;
}

async function loadTailnet({ options, ownTailnet, closers }: StartContext, { goHalf }: OpenedData): Promise<Tailnet> {
  const tailnet = await (options.tailnet?.(logFor("tailnet")) ?? goHalf);
  if (tailnet === undefined) throw new Error("a node without a tailnet");
  if (!ownTailnet) closers.add("tailnet", () => tailnet.close());
  return tailnet;
}

/** Connects the built node with the tailnet: callers come in, calls to peers go out, changed rights are followed. */
function connect(
  start: StartContext,
  { opened: { sockets }, built, listeners }: EarlierPhases,
  { tailnet, ingressSecret }: { tailnet: Tailnet; ingressSecret: string },
): void {
  const { product, egressSecret } = built;
  const callers = new Callers({
    grants: (hash) => tailnet.grants(hash),
    problems: (caller) => product.access.rights(caller).problems,
    conditions: start.conditions,
  });
  start.state.attachTailnet({ tailnet, callers });
  listeners.ingress({ everyone: sockets.ingress, peers: sockets.peers }, ingressSecret, callers, product.peerServer);
  product.link.connect({ tailnet, callers, egress: sockets.egress, secret: egressSecret });
  tailnet.on("revoked", (ids, connections) => {
    start.log(
      "info",
      `rights changed: closed ${counted(connections, "connection")} of ${counted(ids.length, "caller")}`,
    );
    product.callersChanged(ids);
  });
}

/**
 * Opens this node's member; undefined on a node without fleets (development). It answers peers now and begins once the
 * tailnet serves.
 */
async function openMember(
  start: StartContext,
  { opened, built }: EarlierPhases,
  tailnet: Tailnet,
): Promise<RunningMember | undefined> {
  const { options, conditions, nowMs, state, failure } = start;
  const { plan, goHalf, sockets } = opened;
  const { product, membership, node, machine } = built;
  if (plan === undefined) return undefined;
  const common: Omit<MemberStart, "onFatal"> = {
    loaded: options.loaded,
    plan,
    tailnet,
    node,
    conditions,
    say: (text) => options.report({ event: "fleet", text }),
    nowMs,
    startedMs: state.startedMs,
    machine,
  };
  const { edge, raft, link } = product;
  let member: RunningMember | undefined;
  if (edge !== undefined) {
    member = openEdgeMember({ ...common, parts: edge, link, onFatal: (fault) => failure.report(fault) });
  } else if (raft !== undefined && goHalf !== undefined) {
    member = openFullMember({
      ...common,
      parts: { ...product, log: raft },
      host: await goHalf,
      socketPath: sockets.raft,
      onFatal: (fault) => failure.reportLog(fault),
    });
  }
  if (member !== undefined) membership.attach(member.fleet);
  return member;
}

function openSession(
  start: StartContext,
  { opened: { sockets }, built: { egressSecret }, reporting: { announcer } }: EarlierPhases,
  { tailnet, ingressSecret, member }: { tailnet: Tailnet; ingressSecret: string; member: RunningMember | undefined },
): TailnetSession {
  const { options, settings, conditions, nowMs, state, failure } = start;
  return new TailnetSession({
    tailnet,
    params: upParams(options, { ingressSecret, egressSecret, target: sockets.ingress, socketDir: sockets.internal }),
    peers: { port: PEER_PORT, target: sockets.peers, maxBodyBytes: MAX_FRAME_BYTES },
    hasState: existsSync(join(settings.data, "tailnet", "tailscaled.state")),
    conditions,
    log: logFor("tailnet"),
    nowMs,
    onServing: (status) => {
      state.startServing();
      member?.up();
      announcer.serving(status);
    },
    onWaiting: () => announcer.waiting(),
    onLoginUrl: (url) => announcer.login(url),
    onFatal: (fault) => failure.report(fault),
  });
}
