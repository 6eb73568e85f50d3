// The page that says what happened: incidents with the things that were bad and everything meanwhile, in order, and
// what happened beside them. Of everything, or of one service, probe, job or member.
/** @jsxImportSource hono/jsx */

import { counted } from "../../../lib/counted.ts";
import { Fault } from "../../../lib/fault.ts";
import { exactSpanText } from "../../../lib/span-text.ts";
import { timeOf } from "../../../lib/time-of.ts";
import type { Page } from "../../../operation/page.ts";
import { Filter, FilterChoice, FilterText } from "../../../page/filter.tsx";
import { type Lane, Lanes } from "../../../page/lanes.tsx";
import { ListCard } from "../../../page/list-card.tsx";
import { type Named, nameText, Words } from "../../../page/text.tsx";
import { INCIDENTS, incidentsAddress } from "../../../page/thing-link.ts";
import { Who } from "../../../page/who.tsx";
import { listAsked } from "../list.ts";
import { askHappened, askNow, type Window } from "./ask-happened.ts";
import type { Line } from "./happened.ts";
import { type Grouped, groupLines, type Incident, type Spell } from "./incidents.ts";
import { memberKey, type Thing, thingAddress, thingOf } from "./things.ts";

/** Events of Cairn itself are in no feed of changes that a page could follow. */
const AGAIN_SECONDS = 10;
const HOUR_MS = 3_600_000;
const SPANS = { "1h": 1, "6h": 6, "1d": 24, "7d": 168, "30d": 720 } as const;
const SPAN_WORDS = [
  ["1h", "an hour"],
  ["6h", "6 hours"],
  ["1d", "a day"],
  ["7d", "a week"],
  ["30d", "30 days"],
] as const;
const DEFAULT_SPAN = "1d";
/** Incidents on the page, lines of one, and lines of none. */
const MAX_INCIDENTS = 20;
const MAX_LINES = 100;
/** Longest text of a filter. */
const MAX_THING = 300;
/** Kinds of which a bad event begins an incident. */
const BEGINNERS: ReadonlySet<Thing["kind"]> = new Set(["service", "probe", "member"]);

type View = Record<"thing" | "at" | "span", string>;

/** The page. */
export const incidentsPage: Page = {
  path: INCIDENTS,
  summary: "What happened: incidents from the first sign to the end, in order, of everything or of one thing",
  navigation: { order: 58, label: "Incidents", needs: listAsked.name },
  async open(visit) {
    const view = Object.fromEntries(
      ["thing", "at", "span"].map((name) => [name, visit.parameter(name).trim().slice(0, MAX_THING)]),
    ) as View;
    const window = windowOf(view, visit.nowMs);
    const { name, members } = await visit.frame();
    const asMember = members.find((member) => member.name === view.thing);
    const thing = asMember === undefined ? view.thing : memberKey(asMember.node);
    const { lines, cutMs } = await askHappened(visit, thing, window);
    const isAsked = askedFor(thing);
    const begins = (each: Thing) => BEGINNERS.has(each.kind) && isAsked(each);
    const group = (endNow: Parameters<typeof groupLines>[1]["endNow"]) =>
      groupLines(lines, { begins, endNow, nowMs: window.toMs });
    const first = group(() => undefined);
    const open = first.incidents
      .flatMap(({ spells }) => spells)
      .filter(({ untilMs, isUnseen }) => untilMs === undefined && !isUnseen);
    const isOpenNow = window.isNow && open.length > 0;
    const found = isOpenNow
      ? group(
          await askNow(
            visit,
            open.map((spell) => spell.thing),
            members,
          ),
        )
      : first;
    const rest = found.rest.filter((line) => isAsked(line.thing));
    return {
      title: `Incidents: ${name}`,
      ...(window.isNow ? { againSeconds: AGAIN_SECONDS } : {}),
      body: <Happened found={{ ...found, rest }} view={view} window={window} cutMs={cutMs} members={members} />,
    };
  },
};

/** Returns whether a thing is the one that is asked for: by its key, or by its name alone; "": all are. */
function askedFor(text: string): (thing: Thing) => boolean {
  if (text === "") return () => true;
  const key = text.includes("/") ? thingOf(text).key : undefined;
  return (thing) => (key === undefined ? thing.name === text : thing.key === key);
}

/** Returns the time of a view: that around `at`, or up to now. Throws Fault `invalid_input`. */
function windowOf({ at, span }: View, nowMs: number): Window {
  const hours = SPANS[(span || DEFAULT_SPAN) as keyof typeof SPANS];
  if (hours === undefined) {
    throw new Fault("invalid_input", `${JSON.stringify(span)} is no span of time`, {
      hint: `Take one of ${Object.keys(SPANS).join(", ")}.`,
      details: { field: "span" },
    });
  }
  if (at === "") return { fromMs: nowMs - hours * HOUR_MS, toMs: nowMs, isNow: true };
  const plain = at.replace(" ", "T");
  const ms = Date.parse(/(?:Z|[+-]\d\d:?\d\d)$/i.test(plain) || !plain.includes("T") ? plain : `${plain}Z`);
  if (Number.isNaN(ms)) {
    throw new Fault("invalid_input", `${JSON.stringify(at)} is no time`, {
      hint: "Write it as 2026-11-30 14:05, in UTC.",
      details: { field: "at" },
    });
  }
  const half = (hours * HOUR_MS) / 2;
  return { fromMs: ms - half, toMs: Math.min(nowMs, ms + half), isNow: false };
}

interface HappenedProps {
  found: Grouped;
  view: View;
  window: Window;
  cutMs: number | undefined;
  members: Named;
}

function Happened({ found: { incidents, rest }, view, window, cutMs, members }: HappenedProps) {
  const left = incidents.length - MAX_INCIDENTS;
  const lines = window.isNow ? rest.slice(-MAX_LINES) : rest.slice(0, MAX_LINES);
  return (
    <ListCard id="incidents" title="Incidents" filter={<Narrow view={view} />}>
      <p class="quiet">
        {counted(incidents.length, "incident")} from <Time ms={window.fromMs} /> to <Time ms={window.toMs} />
        {view.thing === "" ? null : (
          <>
            {" "}
            of <Words text={view.thing} />, <a href={incidentsAddress({ ...view, thing: "" })}>of everything</a>
          </>
        )}
        . Times are UTC.
      </p>
      {cutMs === undefined ? null : (
        <p>
          More happened than is shown at once: all of it only {window.isNow ? "from" : "up to"} <Time ms={cutMs} />.
          Take a shorter time, or one thing.
        </p>
      )}
      {incidents.length === 0 ? <p class="empty">Nothing that you may see went wrong in this time.</p> : null}
      {incidents.slice(0, MAX_INCIDENTS).map((incident) => (
        <OneIncident incident={incident} window={window} members={members} />
      ))}
      {left > 0 ? <p class="quiet">{counted(left, "earlier incident")} left out: take a shorter time.</p> : null}
      {lines.length === 0 ? null : (
        <section class="incident">
          <h2>What else happened</h2>
          {lines.length < rest.length ? (
            <p class="quiet">
              {lines.length} of {counted(rest.length, "line")}.
            </p>
          ) : null}
          <Lines lines={lines} members={members} />
        </section>
      )}
    </ListCard>
  );
}

function Narrow({ view }: { view: View }) {
  return (
    <Filter action={INCIDENTS}>
      <FilterText
        name="thing"
        label="Only what happened to this"
        value={view.thing}
        placeholder="name, such as wiki"
        max={MAX_THING}
      />
      <FilterText name="at" label="Around this time" value={view.at} placeholder="around 2026-11-30 14:05" max={40} />
      <FilterChoice name="span" label="Within" value={view.span || DEFAULT_SPAN} choices={SPAN_WORDS} />
    </Filter>
  );
}

function OneIncident({ incident, window, members }: { incident: Incident; window: Window; members: Named }) {
  const { fromMs, untilMs, spells, lines } = incident;
  const endMs = untilMs ?? window.toMs;
  const left = lines.length - MAX_LINES;
  return (
    <section class="incident">
      <h2>
        <Time ms={fromMs} /> to {untilMs === undefined ? null : <Time ms={untilMs} />}
        {untilMs === undefined ? (window.isNow ? "now" : "later than is shown") : null}, {exactSpanText(endMs - fromMs)}{" "}
        {untilMs === undefined && window.isNow ? <span class="pill failing">it lasts</span> : null}
      </h2>
      <Lanes
        lanes={spells.map((spell) => laneOf(spell, { lines, endMs, window, members }))}
        fromMs={fromMs}
        toMs={endMs}
        nowMs={window.toMs}
      />
      <Lines lines={lines.slice(0, MAX_LINES)} members={members} fromMs={fromMs} />
      {left > 0 ? <p class="quiet">{counted(left, "more line")}.</p> : null}
    </section>
  );
}

/** How one thing went, in words and as a bar. */
function laneOf(
  spell: Spell,
  { lines, endMs, window, members }: { lines: readonly Line[]; endMs: number; window: Window; members: Named },
): Lane {
  const { thing } = spell;
  const own = lines.filter((line) => line.thing.key === thing.key && line.thing.node === thing.node);
  const beginMs = spell.fromMs ?? spell.untilMs ?? spell.lastMs;
  return {
    label: (
      <>
        <ThingLink thing={thing} members={members} /> <span class="quiet about">{spellText(spell, window)}</span>{" "}
        <a class="about" href={incidentsAddress({ thing: thing.key, at: timeOf(beginMs), span: "1d" })}>
          only this
        </a>
      </>
    ),
    marks: [
      { atMs: beginMs, untilMs: spell.untilMs ?? (spell.isUnseen ? spell.lastMs : endMs), kind: "bad" },
      ...own.map(({ atMs, weight, isSuspect }) => {
        const kind = weight === "good" ? ("decided" as const) : isSuspect ? ("asked" as const) : ("bad" as const);
        return { atMs, kind: weight === "plain" ? ("quiet" as const) : kind };
      }),
    ],
  };
}

function spellText({ fromMs, downMs, untilMs, isUnseen }: Spell, { toMs, isNow }: Window): string {
  if (fromMs === undefined) return "was down before the time shown";
  const down =
    downMs === undefined
      ? "suspect, never down"
      : downMs > fromMs
        ? `down after ${exactSpanText(downMs - fromMs)}`
        : "down";
  if (untilMs !== undefined) return `${down}, for ${exactSpanText(untilMs - fromMs)} in all`;
  if (isUnseen) return `${down}, its end is not known`;
  return `${down}, ${isNow ? `since ${exactSpanText(toMs - fromMs)}` : "longer than is shown"}`;
}

function ThingLink({ thing, members }: { thing: Thing; members: Named }) {
  const name = thing.kind === "member" ? nameText(thing.node, members) : thing.name;
  const isElsewhere = thing.node !== "" && thing.kind !== "member";
  return (
    <>
      <a href={thingAddress(thing)}>
        <Words text={thing.kind === "other" ? name : `${thing.kind} ${name}`} />
      </a>
      {isElsewhere ? (
        <>
          {" "}
          on <Words text={nameText(thing.node, members)} />
        </>
      ) : null}
    </>
  );
}

/** Lines in order. `fromMs`: when their incident began; without it they have no distance to it. */
function Lines({ lines, members, fromMs }: { lines: readonly Line[]; members: Named; fromMs?: number }) {
  return (
    <ol class="happened">
      {lines.map((line) => (
        <li class={line.weight}>
          <Time ms={line.atMs} />
          <span class="quiet number">{fromMs === undefined ? "" : afterText(line.atMs - fromMs)}</span>
          <span>
            <ThingLink thing={line.thing} members={members} /> <Words text={line.words} />
            {line.by === undefined ? null : (
              <span class="quiet">
                {" "}
                by <Who author={line.by.caller} agent={line.by.agent} members={members} />
              </span>
            )}
            {(line.told ?? []).map((text) => (
              <span class="quiet about told">
                <Words text={text} />
              </span>
            ))}
          </span>
        </li>
      ))}
    </ol>
  );
}

function afterText(ms: number): string {
  return ms < 0 ? `−${exactSpanText(-ms)}` : `+${exactSpanText(ms)}`;
}

function Time({ ms }: { ms: number }) {
  const time = timeOf(ms);
  return (
    <time datetime={time} title={time}>
      {time.slice(5, 19).replace("T", " ")}
    </time>
  );
}
