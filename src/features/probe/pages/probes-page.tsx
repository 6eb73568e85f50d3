// The page of probes: all that the caller may see, the worst first, with the last results of each where they are few.
/** @jsxImportSource hono/jsx */

import { Fault } from "../../../lib/fault.ts";
import type { Page, Visit } from "../../../operation/page.ts";
import { Filter, FilterState, FilterText } from "../../../page/filter.tsx";
import { ListCard } from "../../../page/list-card.tsx";
import { ListTable } from "../../../page/list-table.tsx";
import { Ago, type Named, nameText, Words } from "../../../page/text.tsx";
import { PROBE_GET } from "../get.ts";
import { probeList } from "../list.ts";
import { STATES } from "../state.ts";
import { PROBES, type ProbesView, probeLink } from "./links.ts";
import { ProbePill, type Result, type ShownProbe, Strip } from "./strip.tsx";

/** Results are asked of the members that have them: beyond so many probes a page has none. */
const WITH_STRIPS = 25;
/** Results are in memory of members, and no changes of the log. */
const AGAIN_SECONDS = 15;
const WORST_FIRST = ["down", "suspect", "unknown", "starting", "up", "paused"];

/** The page. */
export const probesPage: Page = {
  path: PROBES,
  summary: "Probes: what is up, suspect or down, since when and why, with the last results",
  navigation: { order: 57, label: "Probes", needs: probeList.name },
  async open(visit) {
    const view = {
      space: visit.parameter("space").trim(),
      label: visit.parameter("label").trim(),
      state: visit.parameter("state"),
    };
    const narrowed = Object.fromEntries(Object.entries(view).filter(([, value]) => value !== ""));
    const [{ probes }, { name, members }] = await Promise.all([visit.ask(probeList, narrowed), visit.frame()]);
    const sorted = probes.toSorted(
      (one, other) =>
        WORST_FIRST.indexOf(one.state) - WORST_FIRST.indexOf(other.state) || (one.name < other.name ? -1 : 1),
    );
    const results = probes.length > WITH_STRIPS ? new Map<string, readonly Result[]>() : await resultsOf(visit, sorted);
    return {
      title: `Probes: ${name}`,
      againSeconds: AGAIN_SECONDS,
      body: <Probes probes={sorted} results={results} view={view} members={members} nowMs={visit.nowMs} />,
    };
  },
};

/** Returns the results of each probe by its name; a probe whose members do not respond has none. */
async function resultsOf(visit: Visit, probes: readonly ShownProbe[]): Promise<ReadonlyMap<string, readonly Result[]>> {
  const found = await Promise.all(
    probes.map(async ({ name, space }): Promise<[string, readonly Result[]]> => {
      const got = await visit.tryAsk(PROBE_GET, { name, space });
      return [name, got instanceof Fault ? [] : got.results.toSorted((one, other) => (one.at < other.at ? -1 : 1))];
    }),
  );
  return new Map(found);
}

interface ProbesProps {
  probes: readonly ShownProbe[];
  results: ReadonlyMap<string, readonly Result[]>;
  view: ProbesView;
  members: Named;
  nowMs: number;
}

function Probes({ probes, results, view, members, nowMs }: ProbesProps) {
  const isNarrowed = view.space !== "" || view.label !== "" || view.state !== "";
  return (
    <ListCard id="probes" title="Probes" filter={<Narrow view={view} />}>
      {probes.length === 0 ? (
        <p class="empty">
          {isNarrowed
            ? "There is no such probe."
            : "There is no probe that you may see. They are declared as contexts fleet/probes/NAME (cairn apply)."}
        </p>
      ) : (
        <ListTable
          columns={[
            "Probe",
            "State",
            ...(results.size === 0 ? [] : [["Last results", "wider"] as const]),
            ["Since", "end"],
          ]}
        >
          {probes.map((probe) => (
            <Row probe={probe} results={results} members={members} nowMs={nowMs} />
          ))}
        </ListTable>
      )}
    </ListCard>
  );
}

function Row({ probe, results, members, nowMs }: Omit<ProbesProps, "probes" | "view"> & { probe: ShownProbe }) {
  const { places, state } = probe;
  const worst = places.find((place) => place.state === state) ?? places[0];
  return (
    <tr>
      <td>
        <a class="id" href={probeLink(probe)}>
          <Words text={probe.name} />
        </a>{" "}
        <span class="quiet about">
          <Words text={[probe.type, probe.target].filter(Boolean).join(" ")} />
        </span>
        {state === "up" || worst === undefined || worst.detail === "" ? null : (
          <div class="quiet about">
            {worst.node === "" ? null : (
              <>
                <Words text={nameText(worst.node, members)} />:{" "}
              </>
            )}
            <Words text={worst.detail} />
          </div>
        )}
      </td>
      <td>
        <ProbePill state={state} isMuted={probe.muted_until !== undefined} />
      </td>
      {results.size === 0 ? null : (
        <td class="wider">
          <Strip results={results.get(probe.name) ?? []} />
        </td>
      )}
      <td class="end">{worst === undefined ? null : <Ago time={worst.since} nowMs={nowMs} />}</td>
    </tr>
  );
}

function Narrow({ view }: { view: ProbesView }) {
  return (
    <Filter action={PROBES}>
      <FilterText name="space" label="Only probes of this space" value={view.space} placeholder="space" max={64} />
      <FilterText name="label" label="Only probes with this label" value={view.label} placeholder="label" max={63} />
      <FilterState value={view.state} any="any state" states={[...STATES, "paused"]} />
    </Filter>
  );
}
