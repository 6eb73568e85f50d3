// The page of rules on values: the number of each, what it does now and why, its jobs, and when it fired last.
/** @jsxImportSource hono/jsx */

import type { Page } from "../../../operation/page.ts";
import { Filter, FilterState, FilterText } from "../../../page/filter.tsx";
import { ListCard } from "../../../page/list-card.tsx";
import { ListTable } from "../../../page/list-table.tsx";
import { Ago, Words } from "../../../page/text.tsx";
import { RULE_STATES } from "../rule.ts";
import { RULE_LIST } from "../rule-read.ts";
import { RULES_PAGE, ruleLink } from "./links.ts";
import { firesText, HeldText, RulePill, type ShownRule } from "./rule-pill.tsx";

/** Numbers are in memory of members, and no changes of the log. */
const AGAIN_SECONDS = 5;
/** What somebody has to mend is first, then what acts or soon will. */
const ORDER: readonly ShownRule["state"][] = [
  ...(["failing", "unknown", "firing", "full", "cooling", "waiting", "within", "paused"] as const),
];

interface RulesView {
  space: string;
  state: string;
}

/** The page. */
export const rulesPage: Page = {
  path: RULES_PAGE,
  summary: "Rules on values: the number of each, what it does now and why, when it fired last",
  navigation: { order: 59, label: "Rules", needs: RULE_LIST.name },
  async open(visit) {
    const view = { space: visit.parameter("space").trim(), state: visit.parameter("state") };
    const narrowed = view.space === "" ? {} : { space: view.space };
    const [{ rules }, { name }] = await Promise.all([visit.ask(RULE_LIST, narrowed), visit.frame()]);
    const shown = rules
      .filter(({ state }) => view.state === "" || view.state === state)
      .toSorted(
        (one, other) => ORDER.indexOf(one.state) - ORDER.indexOf(other.state) || (one.name < other.name ? -1 : 1),
      );
    return {
      title: `Rules: ${name}`,
      againSeconds: AGAIN_SECONDS,
      body: <Rules rules={shown} view={view} nowMs={visit.nowMs} />,
    };
  },
};

function Rules({ rules, view, nowMs }: { rules: readonly ShownRule[]; view: RulesView; nowMs: number }) {
  const isNarrowed = view.space !== "" || view.state !== "";
  return (
    <ListCard id="rules" title="Rules" filter={<Narrow view={view} />}>
      {rules.length === 0 ? (
        <p class="empty">
          {isNarrowed
            ? "There is no such rule."
            : "There is no rule that you may see. They are declared as contexts fleet/rules/NAME (cairn apply)."}
        </p>
      ) : (
        <ListTable columns={["Rule", "State", ["Number", "number"], ["Jobs", "number wider"], ["Fired", "end wider"]]}>
          {rules.map((rule) => (
            <Row rule={rule} nowMs={nowMs} />
          ))}
        </ListTable>
      )}
    </ListCard>
  );
}

function Row({ rule, nowMs }: { rule: ShownRule; nowMs: number }) {
  const { name, probe, action, state, why, value, open_jobs: open, at_most: most, last_fired: fired } = rule;
  return (
    <tr>
      <td>
        <a class="id" href={ruleLink(name)}>
          <Words text={name} />
        </a>{" "}
        <span class="tag">
          <Words text={action} />
        </span>
        <div class="quiet about">
          <Words text={`${probe} ${firesText(rule)}`} />
        </div>
        {state === "failing" || state === "unknown" ? (
          <div class="quiet about">
            <Words text={why} />
          </div>
        ) : null}
      </td>
      <td>
        <RulePill state={state} />
        <HeldText rule={rule} />
      </td>
      <td class="number">{value === undefined ? "" : String(value)}</td>
      <td class="number wider">
        {open} of {most}
      </td>
      <td class="end wider">{fired === undefined ? "never" : <Ago time={fired} nowMs={nowMs} />}</td>
    </tr>
  );
}

function Narrow({ view }: { view: RulesView }) {
  return (
    <Filter action={RULES_PAGE}>
      <FilterText
        name="space"
        label="Only rules with jobs of this space"
        value={view.space}
        placeholder="space"
        max={64}
      />
      <FilterState value={view.state} any="any state" states={RULE_STATES} />
    </Filter>
  );
}
