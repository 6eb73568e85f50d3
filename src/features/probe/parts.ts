// The parts of a full member that probes have: the runner, and the leader's watch.

import { valuesOf } from "../../config/setting.ts";
import { logFor } from "../../observe/logging.ts";
import { CONNECTIONS } from "../../operation/connections.ts";
import { DECLARATIONS } from "../../operation/declared-kind.ts";
import { agreesToRun, fleetRunSettings } from "../../operation/fleet-run.ts";
import { MEASURED } from "../../operation/measured.ts";
import { FULL_MEMBERS, HOST, LOG, NODE } from "../../operation/node-parts.ts";
import { ServiceKey, type Services } from "../../operation/services.ts";
import { type SeenMember, SURROUNDINGS } from "../../operation/surroundings.ts";
import { environmentFor, runProcess, secretsOf, shownTail } from "../process/index.ts";
import { resolveName } from "./check/resolve.ts";
import { probeConditions } from "./conditions.ts";
import { PROBE } from "./declared.ts";
import { askMissing, askReports } from "./peer-paths.ts";
import { Runner } from "./runner.ts";
import { Watch } from "./watch.ts";

/** The runner of a node. */
export const RUNNER: ServiceKey<Runner> = new ServiceKey("the probes of the node");
/** The members as its probes see them. */
export const SEEN: ServiceKey<Seen> = new ServiceKey("the members as probes see them");

/** Members are looked at again after so long, in ms: beats come once a second. */
const SEEN_MS = 2000;

/** How long a command has between SIGTERM and SIGKILL, in ms. */
const GRACE_MS = 2000;

/** The members as a node sees them, read again when they are old. */
export class Seen {
  readonly #node: Services;
  #members: readonly SeenMember[] = [];
  #readMs = Number.NEGATIVE_INFINITY;

  constructor(node: Services) {
    this.#node = node;
  }

  list(): readonly SeenMember[] {
    return this.#members;
  }

  async look(): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - this.#readMs < SEEN_MS) return;
    this.#readMs = nowMs;
    this.#members = await this.#node.get(SURROUNDINGS).members();
  }
}

/** Provides the parts of a node. */
export function openProbes(node: Services): void {
  const { store, nowMs, settings } = node.get(NODE);
  const agreed = valuesOf(fleetRunSettings, settings)["fleet.run"];
  const { outbound, tailnet, env } = node.get(HOST);
  const seen = new Seen(node);
  const runner = new Runner({
    declarations: node.get(DECLARATIONS),
    reader: store.reader,
    control: () => node.get(SURROUNDINGS).control(),
    look: () => seen.look(),
    log: logFor("probe"),
    parts: {
      ...{ outbound, tailnet, connections: node.get(CONNECTIONS), resolve: resolveName },
      readSecret: secretsOf(env),
      members: () => seen.list(),
      agrees: (name, labels) => agreesToRun(agreed, { kind: PROBE.kind, name, labels }),
      run: async (argv, values, timeoutMs, signal) => {
        const spec = { argv, env: environmentFor(env, { values }), cwd: "/" };
        const { end, output } = await runProcess(spec, { timeoutMs, signal, graceMs: GRACE_MS });
        const { stdout, stderr } = output;
        return { code: end.code, stdout: stdout.text(), stderr: shownTail(stderr), latencyMs: end.tookMs };
      },
      missing: (member, signal) => askMissing(node.get(FULL_MEMBERS), member, signal),
      nowMs,
      monotonicMs: () => performance.now(),
    },
  });
  node.provide(SEEN, seen).provide(RUNNER, runner);
}

/** Returns the leader's watch of a node, and provides what it hears of numbers. */
export function openWatch(node: Services): Watch {
  const { store, nowMs, conditions } = node.get(NODE);
  const watch = new Watch({
    ...{ runner: node.get(RUNNER), declarations: node.get(DECLARATIONS), reader: store.reader, nowMs },
    monotonicMs: () => performance.now(),
    members: () => node.get(SEEN).list(),
    ask: (member, signal) => askReports(node.get(FULL_MEMBERS), member, signal),
    propose: (command) => node.get(LOG).propose(command),
    conditions: conditions.of(probeConditions),
    say: logFor("probe"),
  });
  node.provide(MEASURED, (probe) => watch.measured(probe));
  return watch;
}
