// The page of one probe: where it is checked and what was found there, latency as a chart, its declaration, and forms
// that check it now, mute it and pause it.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import type { Page } from "../../../operation/page.ts";
import { Act } from "../../../page/act.tsx";
import { AUDIT_OPERATION, AuditLink } from "../../../page/audit-link.tsx";
import { Card } from "../../../page/card.tsx";
import { EVENTS_OPERATION, IncidentsLink } from "../../../page/incidents-link.tsx";
import { ListTable } from "../../../page/list-table.tsx";
import { Ago, type Named, nameText, Words } from "../../../page/text.tsx";
import { ThingHead } from "../../../page/thing-head.tsx";
import { Written } from "../../../page/written.tsx";
import { probeMute, probePause, probeResume } from "../control.ts";
import { PROBE_GET } from "../get.ts";
import { PROBE_PAGE, PROBES, probeForm, probeLink, whichOf } from "./links.ts";
import { ProbePill, type Result, type ShownProbe, Strip } from "./strip.tsx";

/** Results are in memory of members, and no changes of the log. */
const AGAIN_SECONDS = 10;
const LIST = { path: PROBES, label: "Probes" };
const HOUR_SECONDS = 3600;

type Got = z.infer<typeof PROBE_GET.output>;

/** The page. */
export const probePage: Page = {
  path: PROBE_PAGE,
  summary: "One probe: where it is checked, the last results and latency, its declaration; mute it, or pause it",
  within: PROBES,
  async open(visit) {
    const which = whichOf(visit.rest);
    const [got, { name, members }] = await Promise.all([visit.ask(PROBE_GET, { ...which }), visit.frame()]);
    const may = {
      mute: visit.may(probeMute.name, which.space),
      pause: visit.may(probePause.name, which.space),
      audit: visit.may(AUDIT_OPERATION, which.space),
      events: visit.may(EVENTS_OPERATION, which.space),
    };
    return {
      title: `${which.name}: ${name}`,
      againSeconds: AGAIN_SECONDS,
      charts: true,
      body: <Probe got={got} members={members} nowMs={visit.nowMs} may={may} />,
    };
  },
  forms: {
    mute: {
      operation: probeMute.name,
      label: "Mute it for an hour",
      fields: ["seconds"],
      known: (rest) => ({ ...whichOf(rest) }),
      input: ({ seconds = "" }) => ({ seconds: Number(seconds) }),
      next: (_output, rest) => probeLink(whichOf(rest)),
    },
    ...Object.fromEntries(
      [
        { form: "pause", operation: probePause.name, label: "Pause it" },
        { form: "resume", operation: probeResume.name, label: "Check it again" },
      ].map(({ form, operation, label }) => [
        form,
        {
          ...{ operation, label, fields: [] },
          known: (rest: string) => ({ ...whichOf(rest) }),
          input: () => ({}),
          next: (_output: unknown, rest: string) => probeLink(whichOf(rest)),
        },
      ]),
    ),
  },
};

interface ProbeProps {
  got: Got;
  members: Named;
  nowMs: number;
  may: { mute: boolean; pause: boolean; audit: boolean; events: boolean };
}

function Probe({ got: { probe, declared, results }, members, nowMs, may }: ProbeProps) {
  const nodes = [...new Set([...probe.places.map(({ node }) => node), ...results.map(({ node }) => node)])];
  return (
    <>
      <ThingHead list={LIST} name={probe.name} state="state-of-probe">
        <p>
          <ProbePill state={probe.state} isMuted={probe.muted_until !== undefined} />{" "}
          <span class="quiet">
            <Words text={[probe.type, probe.target].filter(Boolean).join(" ")} />
          </span>{" "}
          {may.events ? <IncidentsLink thing={`${probe.space}/probes/${probe.name}`} /> : null}
        </p>
        {probe.description === undefined ? null : (
          <p>
            <Words text={probe.description} />
          </p>
        )}
        {probe.by === undefined ? null : (
          <p class="quiet">
            by <Words text={nameText(probe.by, members)} />
            {probe.reason ? (
              <>
                : <Words text={probe.reason} />
              </>
            ) : null}
          </p>
        )}
        <Buttons probe={probe} may={may} />
      </ThingHead>
      <div class="columns">
        <div class="wide">
          {nodes.map((node, at) => (
            <Place
              at={at}
              node={node}
              probe={probe}
              results={results.filter((result) => result.node === node)}
              members={members}
              nowMs={nowMs}
            />
          ))}
          {nodes.length === 0 ? <p class="empty">It has not been checked yet.</p> : null}
        </div>
        <div class="side">
          <Card id="declared" title="Declaration">
            <Written text={JSON.stringify(declared, undefined, 2)} />
            {may.audit ? (
              <p>
                <AuditLink target={`fleet/probes/${probe.name}`} />
              </p>
            ) : null}
          </Card>
        </div>
      </div>
    </>
  );
}

interface PlaceProps {
  at: number;
  node: string;
  probe: ShownProbe;
  results: readonly Result[];
  members: Named;
  nowMs: number;
}

/** What one member found. */
function Place({ at, node, probe, results, members, nowMs }: PlaceProps) {
  const place = probe.places.find((each) => each.node === node);
  const where = node === "" ? "the leader" : nameText(node, members);
  const measured = results.filter(({ latency_ms: latency }) => latency !== undefined);
  return (
    <section class="card" aria-labelledby={`place-${at}-title`}>
      <h2 id={`place-${at}-title`}>
        At <Words text={where} />
      </h2>
      <div id={`place-${at}`} data-part>
        {place === undefined ? null : (
          <p>
            <ProbePill state={place.state} />{" "}
            <span class="quiet">
              since <Ago time={place.since} nowMs={nowMs} />
            </span>{" "}
            <Words text={[place.cause, place.detail].filter(Boolean).join(": ")} />
          </p>
        )}
        <Strip results={results} />
      </div>
      {measured.length < 2 ? null : (
        <>
          <h3>Latency in ms</h3>
          <figure class="chart" data-chart={`latency-${at}`} aria-hidden="true" />
          <div id={`latency-${at}`} data-part>
            <details>
              <summary>As a table</summary>
              <ListTable columns={["Time", "Result", ["ms", "number"]]}>
                {measured.map(({ at: time, good, detail, latency_ms: latency = 0 }) => (
                  <tr>
                    <td>
                      <time datetime={time}>{time.slice(0, 19).replace("T", " ")}</time>
                    </td>
                    <td>{good ? "good" : <Words text={detail ?? "bad"} />}</td>
                    <td class="number" data-value={latency}>
                      {Math.round(latency)}
                    </td>
                  </tr>
                ))}
              </ListTable>
            </details>
          </div>
        </>
      )}
    </section>
  );
}

function Buttons({ probe, may }: { probe: ShownProbe; may: ProbeProps["may"] }) {
  const isMuted = probe.muted_until !== undefined;
  const isPaused = probe.state === "paused";
  return (
    <div class="acts">
      {may.mute ? (
        <Act action={probeForm(probe, "mute")} label={isMuted ? "Unmute it" : "Mute it for an hour"}>
          <input type="hidden" name="seconds" value={isMuted ? "0" : String(HOUR_SECONDS)} />
        </Act>
      ) : null}
      {may.pause ? (
        <Act
          action={probeForm(probe, isPaused ? "resume" : "pause")}
          label={isPaused ? "Check it again" : "Pause it"}
        />
      ) : null}
    </div>
  );
}
