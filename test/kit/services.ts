// Members that run services over one store and log: real programs under real guards, by the real clock. The first
// leads.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Caller } from "../../src/access/caller.ts";
import { blobAdd } from "../../src/features/blob/add.ts";
import { blobFeature } from "../../src/features/blob/index.ts";
import { leaseFeature } from "../../src/features/lease/index.ts";
import { Artifacts } from "../../src/features/service/artifacts.ts";
import { serviceConditions } from "../../src/features/service/conditions.ts";
import { SERVICE } from "../../src/features/service/declared.ts";
import { Deploys } from "../../src/features/service/deploying.ts";
import { serviceFeature } from "../../src/features/service/index.ts";
import { Keeper } from "../../src/features/service/keeper.ts";
import { SERVICE_OUTPUT } from "../../src/features/service/live.ts";
import { KEEPER } from "../../src/features/service/plan.ts";
import { Remarks } from "../../src/features/service/preparing.ts";
import { serviceRows, startText } from "../../src/features/service/rows.ts";
import { LEASES, REMARKS } from "../../src/features/service/work.ts";
import { ServiceWorker } from "../../src/features/service/worker.ts";
import { Fault } from "../../src/lib/fault.ts";
import { openSleepClock } from "../../src/lib/sleep-clock.ts";
import { nodeCommand } from "../../src/log/node-command.ts";
import { registerSecret } from "../../src/observe/redact.ts";
import { HeldTerms } from "../../src/operation/held-terms.ts";
import type { Measured } from "../../src/operation/measured.ts";
import { FULL_MEMBERS } from "../../src/operation/node-parts.ts";
import { SURROUNDINGS } from "../../src/operation/surroundings.ts";
import { callerWith } from "./core.ts";
import { noPeers, startDeclarations } from "./declarations.ts";
import { eventually } from "./eventually.ts";

const root = join(import.meta.dir, "..", "..");
const MAIN = [process.execPath, join(root, "src", "main.ts")];

/** Callers by name: olga operates the space ops, ray may read there, zoe may do nothing. */
export const PEOPLE: Readonly<Record<string, Caller>> = Object.fromEntries(
  (
    [
      ["olga", "operator"],
      ["ray", "reader"],
      ["zoe", undefined],
    ] as const
  ).map(([name, role]) => [
    name,
    callerWith({ id: `n${name}`, login: `${name}@x`, grants: role === undefined ? [] : [{ role, spaces: ["ops"] }] }),
  ]),
);

/** A service as the operations show it. */
export interface Shown {
  name: string;
  state: string;
  copies: { copy?: string; state: string; name?: string; fence?: string; failures?: number; reason: string }[];
}

/** Starts members with these names. Each agrees to run what its list names. */
export function startServices(agreed: Readonly<Record<string, readonly string[]>> = { a: ["*"] }) {
  const node = startDeclarations({ kinds: [SERVICE], others: [leaseFeature, blobFeature, serviceFeature] });
  const folder = mkdtempSync(join(tmpdir(), "cairn-services-"));
  const names = Object.keys(agreed);
  const [first = ""] = names;
  const away = new Set<string>();
  const cut = new Set<string>();
  const clock = openSleepClock();
  const leases = new HeldTerms(clock);
  const remarks = new Remarks();
  /** What probes measure, by name. */
  const numbers = new Map<string, Measured>();
  const keeper = new Keeper({
    ...{ reader: node.store.reader, log: () => node.log, declarations: node.declarations, leases, remarks },
    say: () => {},
    measured: () => (probe) => numbers.get(probe) ?? { space: "fleet", why: `no probe ${probe}` },
    self: () => `n-${first}`,
    members: async () =>
      names.map((name) => ({
        ...{ node: `n-${name}`, name, self: name === first, away: away.has(name), roundTripMs: 1, sleeps: false },
        labels: ["all", `of-${name}`],
      })),
    rank: async () => names.map((name) => `n-${name}`),
    conditions: node.conditions.of(serviceConditions),
    deploys: new Deploys({
      ...{ conditions: node.conditions.of(serviceConditions), say: () => {}, monotonicMs: () => clock.nowMs() },
      ask: (operation, input) => node.call(operation, input),
    }),
    // The keeper waits at the beginning of its term for what is not known yet: here all is.
    monotonicMs: () => clock.nowMs() + (leading === undefined ? 0 : 60_000),
  });
  node.services
    .provide(LEASES, leases)
    .provide(REMARKS, remarks)
    .provide(KEEPER, keeper)
    .provide(FULL_MEMBERS, {
      self: () => `n-${first}`,
      others: () => names.slice(1).map((name) => ({ node: `n-${name}`, name })),
      ...noPeers(),
    })
    .provide(SURROUNDINGS, {
      control: () => true,
      members: async () =>
        names.map((name) => ({
          ...{ node: `n-${name}`, name, self: name === first, away: away.has(name), roundTripMs: 1, sleeps: false },
          labels: ["all", `of-${name}`],
        })),
    });
  /** Archives by SHA-256, and the members that cannot have them. */
  const blobs = new Map<string, Uint8Array>();
  const lacking = new Set<string>();
  const workers = new Map<string, ServiceWorker>();
  let asked = 0;
  const begin = (name: string) => {
    const artifacts = new Artifacts({
      data: join(folder, `data-${name}`),
      fetch: async function* (sha256) {
        const bytes = lacking.has(name) ? undefined : blobs.get(sha256);
        if (bytes === undefined) throw new Fault("unavailable", `no member that answers has ${sha256}`);
        yield bytes;
      },
    });
    const worker = new ServiceWorker({
      ...{ reader: node.store.reader, log: () => node.log, declarations: node.declarations, clock, say: () => {} },
      artifacts,
      self: () => `n-${name}`,
      agrees: (service) => (agreed[name] ?? []).some((entry) => entry === "*" || entry === service),
      parts: {
        ...{ command: MAIN, env: { PATH: process.env["PATH"], SECRET_OF_NODE: "hidden" } },
        readSecret: (reference) => {
          const value = `value-of-${reference}`;
          registerSecret(value);
          return value;
        },
        artifact: (service, sha256, signal) => artifacts.folderOf(service, sha256, signal),
      },
      ask: async (report) => {
        asked += 1;
        if (cut.has(name)) throw new Error("the leader is not reached");
        const id = name === first ? "local" : `local@n-${name}`;
        return node.call("service_work", report, callerWith({ kind: "local", id, node: `n-${name}`, login: "" }));
      },
    });
    workers.set(name, worker);
    worker.start();
    return worker;
  };
  for (const name of names) begin(name);
  let leading: AbortController | undefined;
  let term = 0;
  const leadAnew = () => {
    leading?.abort();
    leading = undefined;
    const next = new AbortController();
    term += 1;
    keeper.lead({ term, signal: next.signal });
    leading = next;
  };
  leadAnew();
  node.services.provide(SERVICE_OUTPUT, async (row) => workers.get(row.node.slice(2))?.tail(startText(row)));
  const as = (who: string, operation: string, input: Record<string, unknown>) =>
    node.call(operation, input, PEOPLE[who]);
  const get = async (name: string) =>
    (await as("ray", "service_get", { name, space: "ops" })) as unknown as { service: Shown; next: string[] };
  return {
    ...node,
    ...{ folder, away, cut, workers, blobs, lacking, numbers, as, get, leadAnew, begin },
    /** How often members have called the leader. */
    asked: () => asked,
    /** Makes a blob of the space fleet known. */
    addBlob: async (sha256: string) => {
      const bytes = blobs.get(sha256)?.byteLength ?? 0;
      const blob = { space: "fleet", sha256, bytes, content_type: "application/x-tar", copies: 1, agent: "" };
      const bounds = { is_known: false, keep_ms: 3_600_000, caller_bytes: 1e9, space_bytes: 1e9 };
      await node.log.propose(nodeCommand(blobAdd, { ...blob, ...bounds, holders: [`n-${first}`] }));
    },
    rows: (name?: string) => serviceRows(node.store.reader, name),
    declareService: async (name: string, more: Record<string, unknown>) => {
      const content = { space: "ops", ...more };
      const { version } = await node.call("context_put", { id: `fleet/services/${name}`, content });
      await eventually(
        `${name} is in force`,
        () => node.declarations.list(SERVICE).some((each) => each.name === name && each.version === version),
        { seen: () => node.conditionText("declaration_refused") },
      );
    },
    /** Waits until a copy of a service is ready on a member; returns the service. */
    ready: async (name: string, member: string): Promise<Shown> => {
      let seen: unknown;
      return eventually(
        `${name} is ready on ${member}`,
        async () => {
          const found = await get(name);
          seen = found;
          const isThere = found.service.copies.some((each) => each.state === "ready" && each.name === member);
          return isThere ? found.service : undefined;
        },
        { withinMs: 40_000, seen: () => JSON.stringify(seen) },
      );
    },
    /** The outcomes of changes of a service, oldest first. */
    outcomes: (name: string) =>
      node.store.reader
        .all<{ outcome: string }>(
          "SELECT outcome FROM changes WHERE target = ? AND operation LIKE 'service_%' ORDER BY seq",
          `ops/services/${name}`,
        )
        .map(({ outcome }) => outcome),
    /** What a file of the folder of the test holds, as lines. */
    lines: async (file: string) => {
      const text = await Bun.file(join(folder, file))
        .text()
        .catch(() => "");
      return text.trim() === "" ? [] : text.trim().split("\n");
    },
    [Symbol.asyncDispose]: async () => {
      if (node.fatal.length > 0) throw node.fatal[0];
      leading?.abort();
      await Promise.all([...workers.values()].map((worker) => worker.stop()));
      await node[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
