// The parts of a full member that services have: the worker, and the leader's keeper with the leases that it measures.

import { valuesOf } from "../../config/setting.ts";
import { openSleepClock } from "../../lib/sleep-clock.ts";
import { logFor } from "../../observe/logging.ts";
import { askSelf } from "../../operation/ask-self.ts";
import { DECLARATIONS } from "../../operation/declared-kind.ts";
import { agreesToRun, fleetRunSettings } from "../../operation/fleet-run.ts";
import { HeldTerms } from "../../operation/held-terms.ts";
import { MEASURED } from "../../operation/measured.ts";
import { FULL_MEMBERS, HOST, LOG, NODE } from "../../operation/node-parts.ts";
import { ServiceKey, type Services } from "../../operation/services.ts";
import { SURROUNDINGS } from "../../operation/surroundings.ts";
import { secretsOf } from "../process/index.ts";
import { Artifacts } from "./artifacts.ts";
import { serviceConditions } from "./conditions.ts";
import { SERVICE } from "./declared.ts";
import { Deploys } from "./deploying.ts";
import { Keeper } from "./keeper.ts";
import { SERVICE_OUTPUT } from "./live.ts";
import { askOutput } from "./peer-paths.ts";
import { KEEPER } from "./plan.ts";
import { Remarks } from "./preparing.ts";
import { DEFAULT_SPACE, startText } from "./rows.ts";
import { LEASES, REMARKS } from "./work.ts";
import { ServiceWorker } from "./worker.ts";

/** A part of an artifact may take so long, in ms. */
const PART_MS = 60_000;

/** The worker of a node. */
export const SERVICE_WORKER: ServiceKey<ServiceWorker> = new ServiceKey("the services of the node");

/** Provides the parts of a node. */
export function openServices(node: Services): void {
  const { store, settings, conditions } = node.get(NODE);
  const { command, env } = node.get(HOST);
  const agreed = valuesOf(fleetRunSettings, settings)["fleet.run"];
  const clock = openSleepClock();
  const leases = new HeldTerms(clock);
  const remarks = new Remarks();
  const shared = {
    ...{ reader: store.reader, log: () => node.get(LOG), declarations: node.get(DECLARATIONS), say: logFor("service") },
    self: () => node.get(FULL_MEMBERS).self(),
  };
  const artifacts = new Artifacts({ data: settings.data, fetch: (sha256, signal) => blobBytes(node, sha256, signal) });
  const artifact = artifacts.folderOf.bind(artifacts);
  const worker = new ServiceWorker({
    ...{ ...shared, clock, artifacts, parts: { command: command ?? [], env, readSecret: secretsOf(env), artifact } },
    agrees: (name, { labels }) => command !== undefined && agreesToRun(agreed, { kind: SERVICE.kind, name, labels }),
    ask: (report, signal) => askSelf(node, "service_work", { ...report }, signal),
  });
  const of = conditions.of(serviceConditions);
  const monotonicMs = () => clock.nowMs();
  const deploys = new Deploys({
    ...{ conditions: of, say: shared.say, monotonicMs },
    ask: (operation, input, signal) => askSelf(node, operation, input, signal),
  });
  const keeper = new Keeper({
    ...{ ...shared, leases, remarks, conditions: of, deploys, monotonicMs },
    members: () => node.get(SURROUNDINGS).members(),
    measured: () => node.find(MEASURED),
    rank: async (labels, signal) => {
      const { candidates } = (await askSelf(node, "fleet_pick", { labels: [...labels] }, signal)) as {
        candidates: { node: string }[];
      };
      return candidates.map((each) => each.node || shared.self());
    },
  });
  node
    .provide(LEASES, leases)
    .provide(REMARKS, remarks)
    .provide(SERVICE_WORKER, worker)
    .provide(KEEPER, keeper)
    .provide(SERVICE_OUTPUT, async (row, signal) => {
      const start = startText(row);
      if (row.node === shared.self()) return worker.tail(start);
      // A member that is away has nothing to show.
      return askOutput(node.get(FULL_MEMBERS), row.node, start, signal).catch(() => undefined);
    });
}

/** Returns the bytes of a blob of the space of declarations: from here, or from members that hold it. */
async function* blobBytes(node: Services, sha256: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (let offset = 0; ; ) {
    const within = AbortSignal.any([signal, AbortSignal.timeout(PART_MS)]);
    const part = await askSelf(node, "blob_get", { space: DEFAULT_SPACE, sha256, offset }, within);
    const data = Buffer.from(String(part["data"]), "base64");
    if (data.byteLength === 0) return;
    yield data;
    offset += data.byteLength;
  }
}
