// Makes the log of events of a node, and what its leader does for it.

import { Fault } from "../../../lib/fault.ts";
import { readMeta } from "../../../log/meta.ts";
import { CONNECTIONS } from "../../../operation/connections.ts";
import { HOST, LOG, NODE } from "../../../operation/node-parts.ts";
import { ServiceKey, type Services } from "../../../operation/services.ts";
import { EVENT_LOG, type Pace, VOTERS } from "../event-log.ts";
import { NatsLink, type NatsPlace, operatorReason } from "../jetstream/nats.ts";
import { secretsOf } from "../subscription/targets/address.ts";
import { moveConditions } from "./conditions.ts";
import { MovableEventLog } from "./movable-log.ts";
import { Mover } from "./mover.ts";

/** The mover of the node. */
export const MOVER: ServiceKey<Mover> = new ServiceKey("the mover of the log of events");

/** The same log, to begin and to end it. */
export const MOVABLE_LOG: ServiceKey<MovableEventLog> = new ServiceKey("the log of events that moves");

/** Provides them. `pace`: how often the mover and the follower of a stream look. */
export function openLog(node: Services, pace?: Pace): void {
  const { store, conditions, limits } = node.get(NODE);
  const { reader } = store;
  const log = () => node.get(LOG);
  const connections = () => node.get(CONNECTIONS);
  const link = new NatsLink({
    place: () => placeOf(node),
    open: (to, signal) => connections().open(to, signal),
    roots: () => connections().roots(),
  });
  const raised = conditions.of(moveConditions);
  const tell = (code: keyof typeof moveConditions) => (problem: unknown) => {
    if (problem === undefined) raised.clear(code);
    else raised.raise(code, typeof problem === "string" ? problem : operatorReason(problem));
  };
  const events = () => limits().events;
  const movable = new MovableEventLog({
    ...{ reader, log, link, limits: events, pace, onProblem: tell("event_log_away") },
    fleetId: () => readMeta(reader, "fleet_id") ?? "",
    voters: () => node.find(VOTERS)?.() ?? 1,
  });
  node.provide(EVENT_LOG, movable);
  node.provide(MOVABLE_LOG, movable);
  const streamLog = (row: Parameters<MovableEventLog["streamLog"]>[0]) => movable.streamLog(row);
  // A node that reaches nothing outside begins no move by a setting: it would never end.
  const reached = () => {
    const { nats, ...rest } = events();
    return nats === undefined || connections().isNone !== true
      ? events()
      : { ...rest, nats: { ...nats, isFirst: false } };
  };
  const mover = new Mover({
    ...{ reader, log, link, limits: reached, streamLog, pace, onProblem: tell("event_log_stuck") },
    onWaiting: tell("own_events_waiting"),
  });
  node.provide(MOVER, mover);
}

function placeOf(node: Services): NatsPlace {
  const { nats } = node.get(NODE).limits().events;
  if (nats === undefined)
    throw new Fault("event_log_unavailable", "The fleet does not know where NATS is: events.nats_url is not set", {
      hint: "An admin sets it: `cairn fleet settings events.nats_url nats://HOST:PORT`.",
    });
  const readSecret = secretsOf(node.get(HOST).env);
  return {
    url: nats.url,
    login: nats.credentials === undefined ? undefined : readSecret(nats.credentials).trim(),
    ...(nats.ca === undefined ? {} : { ca: readSecret(nats.ca) }),
  };
}
