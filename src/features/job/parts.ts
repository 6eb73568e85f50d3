// The parts of a full member that jobs have: claims, the worker, and the leader's dispatcher and schedules.

import { openAsBlob } from "node:fs";
import { join } from "node:path";
import { valuesOf } from "../../config/setting.ts";
import { PART_BYTES } from "../../lib/bounds.ts";
import { Fault } from "../../lib/fault.ts";
import { openSleepClock } from "../../lib/sleep-clock.ts";
import type { Duty, Lead } from "../../log/duties.ts";
import { logFor } from "../../observe/logging.ts";
import { askSelf } from "../../operation/ask-self.ts";
import { DECLARATIONS } from "../../operation/declared-kind.ts";
import { agreesToRun, fleetRunSettings } from "../../operation/fleet-run.ts";
import { MEASURED } from "../../operation/measured.ts";
import { FULL_MEMBERS, HOST, LOG, NODE } from "../../operation/node-parts.ts";
import { ServiceKey, type Services } from "../../operation/services.ts";
import { SURROUNDINGS } from "../../operation/surroundings.ts";
import { secretsOf } from "../process/index.ts";
import { ACTION } from "./action.ts";
import type { AttemptParts } from "./attempt.ts";
import { CLAIMS, Claims } from "./claims.ts";
import { jobConditions } from "./conditions.ts";
import { Dispatcher } from "./dispatch.ts";
import { LIVE_OUTPUT } from "./live.ts";
import { OFFERS, Offers } from "./offer.ts";
import { askTail } from "./peer-paths.ts";
import { claimText } from "./rows.ts";
import { RULES, Rules } from "./rules.ts";
import { Schedules } from "./schedules.ts";
import { jobSettings } from "./settings.ts";
import { Worker } from "./worker.ts";

/** A blob is asked about so often until enough members hold it. */
const MAX_ASKED = 12;

/** The worker of a node. */
export const WORKER: ServiceKey<Worker> = new ServiceKey("the worker of jobs");

/** Provides the parts of a node. */
export function openJobs(node: Services): void {
  const { store, settings, conditions } = node.get(NODE);
  const { command, env } = node.get(HOST);
  const agreed = valuesOf(fleetRunSettings, settings)["fleet.run"];
  const clock = openSleepClock();
  const offers = new Offers();
  const worker = new Worker({
    ...{ reader: store.reader, declarations: node.get(DECLARATIONS), clock, say: logFor("job") },
    log: () => node.get(LOG),
    agrees: (name, { labels }) => command !== undefined && agreesToRun(agreed, { kind: ACTION.kind, name, labels }),
    slots: valuesOf(jobSettings, settings)["fleet.jobs"],
    parts: {
      ...{ command: command ?? [], env, folder: join(settings.data, "jobs") },
      readSecret: secretsOf(env),
      storeBlob: (blob) => storeBlob(node, blob),
    },
    ask: (report, signal) => askSelf(node, "job_work", { ...report }, signal),
  });
  node
    .provide(
      CLAIMS,
      new Claims({
        ...{ reader: store.reader, log: () => node.get(LOG), clock, say: logFor("job") },
        onLost: (lost) => offers.forget(lost),
      }),
    )
    .provide(OFFERS, offers)
    .provide(
      RULES,
      new Rules({
        ...{ reader: store.reader, log: () => node.get(LOG), declarations: node.get(DECLARATIONS) },
        ...{ measured: () => node.find(MEASURED), monotonicMs: () => performance.now() },
        ...{ conditions: conditions.of(jobConditions), say: logFor("job") },
      }),
    )
    .provide(WORKER, worker)
    .provide(LIVE_OUTPUT, async (job, signal) => {
      const fence = claimText(job) ?? "";
      if (job.worker === node.get(FULL_MEMBERS).self()) return worker.tail(fence);
      // A member that is away has nothing to show.
      return askTail(node.get(FULL_MEMBERS), job.worker, fence, signal).catch(() => undefined);
    });
}

/** Returns the duties of the leader. */
export function jobDuties(node: Services): Duty[] {
  const { store, conditions } = node.get(NODE);
  const shared = {
    ...{ reader: store.reader, log: () => node.get(LOG), declarations: node.get(DECLARATIONS) },
    ...{ conditions: conditions.of(jobConditions), say: logFor("job") },
  };
  /** Names of members, which are few. */
  const names = new Map<string, string>();
  const dispatcher = new Dispatcher({
    ...shared,
    offers: node.get(OFFERS),
    nameOf: (member) => names.get(member) ?? "",
    rank: async ({ labels, kind }, signal) => {
      for (const { node: id, name } of await node.get(SURROUNDINGS).members()) names.set(id, name);
      const wanted = { labels, ...(kind === undefined ? {} : { kind }) };
      const { candidates } = (await askSelf(node, "fleet_pick", wanted, signal)) as { candidates: { node: string }[] };
      // On no tailnet (`cairn dev`) the only member has no id.
      return candidates.map((each) => each.node || node.get(FULL_MEMBERS).self());
    },
  });
  const schedules = new Schedules(shared);
  return [
    ...[(lead: Lead) => node.get(CLAIMS).lead(lead), (lead: Lead) => dispatcher.lead(lead)],
    ...[(lead: Lead) => schedules.lead(lead), (lead: Lead) => node.get(RULES).lead(lead)],
  ];
}

/** Stores a file as a blob, in parts. Rejects with the Faults of blob_put. */
async function storeBlob(
  node: Services,
  { path, space, sha256, bytes, hours }: Parameters<AttemptParts["storeBlob"]>[0],
): Promise<void> {
  const file = await openAsBlob(path);
  const { signal } = new AbortController();
  const about = { space, sha256, bytes, content_type: "text/plain", keep_hours: hours };
  let received = 0;
  for (let asked = 0; asked < MAX_ASKED; ) {
    const part = received < bytes ? await file.slice(received, received + PART_BYTES).arrayBuffer() : undefined;
    const data = part === undefined ? {} : { offset: received, data: Buffer.from(part).toString("base64") };
    const within = AbortSignal.any([signal, AbortSignal.timeout(60_000)]);
    const put = (await askSelf(node, "blob_put", { ...about, ...data }, within)) as {
      stored: boolean;
      received: number;
    };
    if (put.stored) return;
    if (put.received <= received) asked += 1;
    ({ received } = put);
  }
  throw new Fault("unavailable", "too few members hold it", { hint: "See blob_stat." });
}
