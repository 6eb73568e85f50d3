// Second phase of a start: the product over the data, and the policy file that its gate follows. Nothing is served yet.

import { Fault } from "../../lib/fault.ts";
import { Membership, OwnNode, plannedRole } from "../../membership/index.ts";
import { type MachineWatch, watchThisMachine } from "../../observe/machine/machine-watch.ts";
import { FLEET_SETTINGS } from "../../operation/fleet-settings.ts";
import { findCallers } from "../listeners/find-callers.ts";
import { type PolicyWatch, watchPolicy } from "../listeners/policy-watch.ts";
import { openProduct, type Product } from "../product.ts";
import { Reloader } from "../reload.ts";
import type { StartContext } from "../start-context.ts";
import { noOutbound, outboundBy } from "../tailnet/outbound.ts";
import { connectionsBy, noConnections } from "../tailnet/outbound-connection.ts";
import { newSecret } from "../tailnet/up-params.ts";
import type { OpenedData } from "./open-data.ts";

/** What the second phase hands on. */
export interface BuiltNode {
  product: Product;
  /** Answers for a node that is alone until the member is attached. */
  membership: Membership;
  node: OwnNode;
  machine: MachineWatch;
  reloader: Reloader;
  /** What egress.sock requires. */
  egressSecret: string;
}

/** Builds the product. Faults of the store, `policy_invalid`, `config_invalid`. */
export function buildNode(start: StartContext, { plan, sockets }: OpenedData): BuiltNode {
  const { options, settings, features, conditions, engine, closers, nowMs, state, failure } = start;
  const machine = watchThisMachine({ dataDir: settings.data, labels: settings.labels });
  const membership = new Membership(plan === undefined ? settings.role : plannedRole(plan, settings.role), machine);
  const node = new OwnNode(() => state.status(), settings.hostname);
  const egressSecret = newSecret();
  let reloader: Reloader | undefined;
  const product = openProduct({
    settings,
    origins: options.loaded.origins,
    features,
    conditions,
    engine,
    conformance: options.conformance === true,
    closers,
    nowMs,
    host: {
      secrets: options.secrets,
      env: options.env,
      command: options.command,
      outbound: start.ownTailnet ? outboundBy(sockets.egress, egressSecret) : noOutbound,
      tailnet: start.ownTailnet ? outboundBy(sockets.egress, egressSecret, "tailnet") : noOutbound,
    },
    connections: start.ownTailnet ? connectionsBy(sockets.egress, egressSecret) : noConnections,
    state,
    node,
    membership,
    edge: plan?.kind === "edge" ? { knownMembers: plan.file?.members ?? [] } : undefined,
    findCallers: findCallers(state),
    reload: () => {
      if (reloader !== undefined) return reloader.run();
      throw new Fault("not_ready", "The node has not read its settings yet", { hint: "Try again in a moment." });
    },
    onFatal: (fault) => failure.reportLog(fault),
  });
  const onRights = () => judgeAgain(start, product);
  reloader = new Reloader({
    ...options,
    loadAgain: options.loadAgain,
    fleetKeys: new Set(FLEET_SETTINGS),
    conditions,
    access: product.access,
    policy: followPolicy(start, product, onRights),
    onRights,
  });
  return { product, membership, node, machine, reloader, egressSecret };
}

/**
 * Follows the policy file, if there is one. Without its policy the node would serve under other rights than were meant.
 */
function followPolicy(
  { settings, conditions, closers }: StartContext,
  product: Product,
  onChange: () => void,
): PolicyWatch | undefined {
  const path = settings["access.policy_file"];
  if (path === undefined) return undefined;
  const policy = watchPolicy({
    path,
    capability: settings["access.capability"],
    access: product.access,
    conditions,
    onChange,
  });
  closers.add("policy file", () => policy.stop());
  return policy;
}

/** Rights may have changed: open streams, lists and connections are judged again. */
function judgeAgain({ state, log }: StartContext, product: Product): void {
  product.callersChanged();
  state
    .connection()
    ?.tailnet.drop()
    .catch((error: unknown) => log("warning", `cannot close connections after a policy change: ${String(error)}`));
}
