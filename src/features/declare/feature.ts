// The manifest of declarations (docs/features.md 5): what the fleet is to do, as contexts that are judged.

import { logFor } from "../../observe/logging.ts";
import declarations from "../../operation/declarations.sql" with { type: "text" };
import { DECLARATIONS } from "../../operation/declared-kind.ts";
import { DECLARE_LEVEL } from "../../operation/declared-rows.ts";
import type { Feature } from "../../operation/feature.ts";
import { fleetRunSettings } from "../../operation/fleet-run.ts";
import { CALL_AS, LOG, NODE } from "../../operation/node-parts.ts";
import { ServiceKey } from "../../operation/services.ts";
import { declarationApply, declarationPlan } from "./apply.ts";
import { declareCommands } from "./commands.ts";
import { declareConditions } from "./conditions.ts";
import { InForce } from "./in-force.ts";
import { Keeper } from "./keeper.ts";
import { declarationKinds, declarationList, kindsOf } from "./list.ts";
import { declarationSettle } from "./settle.ts";
import { declarationProblem } from "./verify.ts";

const IN_FORCE: ServiceKey<InForce> = new ServiceKey("the declarations in force");

/** Declarations. A new history keeps them. */
export const declareFeature: Feature = {
  name: "declare",
  migrations: [{ id: 29, level: DECLARE_LEVEL, sql: declarations }],
  tables: [{ name: "declarations", scope: "replicated", fork: "keep", sql: "SELECT * FROM declarations ORDER BY id" }],
  settings: fleetRunSettings,
  conditions: declareConditions,
  operations: (node) => [
    ...[declarationSettle, declarationList(node), declarationKinds(node)],
    ...[declarationPlan(node), declarationApply(node)],
  ],
  commands: declareCommands,
  events: {
    "cairn.declaration.settled": {
      when: "a version of a declaration came into force, was refused, or is no longer there",
      subject: "the declaration, as fleet/declared/PLACE/NAME",
      operations: [declarationSettle.name],
    },
  },
  open: (node) => {
    const { store, conditions } = node.get(NODE);
    const inForce = new InForce({
      kinds: kindsOf(node),
      reader: store.reader,
      changes: () => node.get(LOG).changes,
      conditions: conditions.of(declareConditions),
    });
    node.provide(IN_FORCE, inForce).provide(DECLARATIONS, inForce);
  },
  jobs: (node) => [node.get(IN_FORCE)],
  duties: (node) => {
    const { store, conditions } = node.get(NODE);
    const keeper = new Keeper({
      kinds: kindsOf(node),
      reader: store.reader,
      changes: () => node.get(LOG).changes,
      ask: async (operation, input, caller, signal) =>
        (await node.get(CALL_AS)({ operation, input, caller, signal, exact: true })).output,
      propose: (command) => node.get(LOG).propose(command),
      conditions: conditions.of(declareConditions),
      say: logFor("declare"),
    });
    return [(lead) => keeper.lead(lead)];
  },
  verify: declarationProblem,
};
