// The history of one context, newest first: each kept version with links to its text and its diff.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import { sizeText } from "../../../lib/byte-size.ts";
import { Fault } from "../../../lib/fault.ts";
import { Card } from "../../../page/card.tsx";
import { PageLinks } from "../../../page/page-links.tsx";
import { Ago, type Named, nameText, Refused, Words } from "../../../page/text.tsx";
import type { contextHistory } from "../list-versions.ts";
import { contextLink } from "./links.ts";

type Versions = z.infer<typeof contextHistory.output>;
type Version = Versions["versions"][number];

interface HistoryProps {
  id: string;
  /** Cursor of the shown page; "" and undefined: the newest versions. */
  before: string | undefined;
  history: Versions | Fault;
  members: Named;
  nowMs: number;
}

export function History(props: HistoryProps) {
  const { history } = props;
  return (
    <Card id="history" title="History">
      {history instanceof Fault ? <Refused fault={history} /> : <VersionList {...props} history={history} />}
    </Card>
  );
}

function VersionList({ id, before, history, members, nowMs }: HistoryProps & { history: Versions }) {
  const { versions, cursor } = history;
  return (
    <>
      <ol class="history">
        {versions.map((version, index) => (
          <VersionLine
            id={id}
            version={version}
            previous={versions.slice(index + 1).find(hasText)?.version}
            members={members}
            nowMs={nowMs}
          />
        ))}
      </ol>
      <PageLinks
        of="history"
        first={before ? contextLink(id) : undefined}
        next={cursor === undefined ? undefined : contextLink(id, { before: cursor })}
        byAge
      />
    </>
  );
}

interface LineProps extends Pick<HistoryProps, "id" | "members" | "nowMs"> {
  version: Version;
  /** The next older version of the page that has a text. */
  previous: number | undefined;
}

function VersionLine({ id, version, previous, members, nowMs }: LineProps) {
  const number = String(version.version);
  const kept = hasText(version);
  return (
    <li>
      <span class="number">{kept ? <a href={contextLink(id, { version: number })}>{number}</a> : number}</span>
      <span>
        <Ago time={version.time} nowMs={nowMs} />{" "}
        <span class="quiet by">
          {version.agent === undefined ? null : (
            <>
              agent <Words text={version.agent} /> of{" "}
            </>
          )}
          <Words text={nameText(version.author, members)} />
          {version.via === "" ? null : ` via ${nameText(version.via, members)}`}
          {version.client === undefined ? null : (
            <>
              , said by the client: <Words text={version.client} />
            </>
          )}
        </span>
      </span>
      <span class="quiet end">{stateText(version)}</span>
      <span class="end">
        {kept && previous !== undefined ? (
          <a href={contextLink(id, { from: String(previous), to: number })} aria-label={`Changes of version ${number}`}>
            diff
          </a>
        ) : null}
      </span>
    </li>
  );
}

function stateText({ purged, deleted, expires_at, size }: Version): string {
  if (purged) return "purged";
  if (deleted) return expires_at === undefined ? "deleted" : "expired";
  return sizeText(size);
}

function hasText({ deleted, purged }: Version): boolean {
  return !deleted && !purged;
}
