// The page of one context: its text in any kept version, its metadata, its history, and the diff of two versions.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import { sizeText } from "../../../lib/byte-size.ts";
import type { Fault } from "../../../lib/fault.ts";
import type { Page, Visit } from "../../../operation/page.ts";
import { Ago, type Named, nameText, Words } from "../../../page/text.tsx";
import { Who } from "../../../page/who.tsx";
import { contextDiff } from "../diff-versions.ts";
import { contextGet, contextMetadata } from "../get.ts";
import { contextHistory } from "../list-versions.ts";
import { Diff } from "./diff-card.tsx";
import { Document } from "./document-card.tsx";
import { History } from "./history-card.tsx";
import { CONTEXTS, type ContextView, contextLink, LIST, listLink } from "./links.ts";
import { Tags } from "./tags.tsx";

/** Versions on one page of the history. */
const PAGE = 20;

/** The page of one context. */
export const contextPage: Page = {
  path: CONTEXTS,
  summary: "One context: its text, metadata, history and diffs",
  async open(visit) {
    const id = visit.rest;
    const view = {
      version: visit.parameter("version"),
      from: visit.parameter("from"),
      to: visit.parameter("to"),
      format: visit.parameter("format"),
      before: visit.parameter("before"),
    };
    const [parts, { name, members }] = await Promise.all([askParts(visit, id, view), visit.frame()]);
    return {
      title: `${id}: ${name}`,
      follows: { id },
      body: <Context id={id} view={view} parts={parts} members={members} nowMs={visit.nowMs} />,
    };
  },
};

interface Parts {
  metadata: z.infer<typeof contextMetadata.output>;
  /** The text, or why there is none: deleted, purged, no such version. */
  content: z.infer<typeof contextGet.output> | Fault;
  history: z.infer<typeof contextHistory.output> | Fault;
  diff: z.infer<typeof contextDiff.output> | Fault | undefined;
}

/** Rejects with the Fault of a context that does not exist, or that the caller may not read. */
async function askParts(visit: Visit, id: string, view: Required<ContextView>): Promise<Parts> {
  const { version, from, to, format, before } = view;
  const metadata = await visit.ask(contextMetadata, { id });
  const [content, history, diff] = await Promise.all([
    visit.tryAsk(contextGet, { id, format: "text", ...(version && { version: wholeNumber(version) }) }),
    visit.tryAsk(contextHistory, { id, limit: PAGE, ...(before && { cursor: before }) }),
    from === ""
      ? undefined
      : visit.tryAsk(contextDiff, {
          id,
          from: wholeNumber(from),
          ...(to && { to: wholeNumber(to) }),
          ...(format && { format }),
        }),
  ]);
  return { metadata, content, history, diff };
}

/** Returns the number that a text is. Any other text is returned as it is, so that the operation refuses it. */
function wholeNumber(text: string): number | string {
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : text;
}

interface ContextProps {
  id: string;
  view: ContextView;
  parts: Parts;
  members: Named;
  nowMs: number;
}

function Context({ id, view, parts, members, nowMs }: ContextProps) {
  const { metadata, content, history, diff } = parts;
  return (
    <>
      <div class="title">
        <p class="crumb">
          <a href={LIST}>Contexts</a> <span aria-hidden="true">/</span>{" "}
          <a href={listLink({ prefix: `${metadata.space}/` })}>{metadata.space}</a>
        </p>
        <h1 class="id">{id}</h1>
        <div id="about" data-part>
          <About metadata={metadata} members={members} nowMs={nowMs} />
        </div>
      </div>
      {diff === undefined ? null : <Diff id={id} view={view} diff={diff} />}
      <div class="columns">
        <div class="wide">
          <Document id={id} newest={metadata.version} version={view.version} content={content} />
        </div>
        <div class="side">
          <History id={id} before={view.before} history={history} members={members} nowMs={nowMs} />
        </div>
      </div>
    </>
  );
}

/** Who may read a context that is not for everyone. */
function Readers({ of, members }: { of: Parts["metadata"]; members: Named }) {
  const { visibility, owner = "", owner_agent, to = [] } = of;
  if (visibility === undefined) return null;
  const by = owner_agent === undefined ? nameText(owner, members) : `${owner_agent} (${nameText(owner, members)})`;
  return (
    <span>
      {visibility.replace("_", " ")}, of <Words text={by} />
      {to.length === 0 ? null : (
        <>
          , for <Words text={to.join(", ")} />
        </>
      )}
    </span>
  );
}

/** Links to other contexts. */
function Others({ heading, ids = [] }: { heading: string; ids: readonly string[] | undefined }) {
  if (ids.length === 0) return null;
  return (
    <p>
      {heading}{" "}
      {ids.map((id, index) => (
        <>
          {index === 0 ? "" : ", "}
          <a class="id" href={contextLink(id)}>
            <Words text={id} />
          </a>
        </>
      ))}
    </p>
  );
}

interface AboutProps extends Pick<ContextProps, "members" | "nowMs"> {
  metadata: Parts["metadata"];
}

function About({ metadata, members, nowMs }: AboutProps) {
  return (
    <>
      {metadata.title === "" ? null : (
        <p class="subtitle">
          <Words text={metadata.title} />
        </p>
      )}
      <p class="quiet facts">
        <span>version {metadata.version}</span>
        <span>
          {metadata.deleted ? "deleted" : "written"} <Ago time={metadata.updated_at} nowMs={nowMs} /> by{" "}
          <Who author={metadata.author} agent={metadata.agent} members={members} />
        </span>
        <span>
          created <Ago time={metadata.created_at} nowMs={nowMs} />
        </span>
        <span>{metadata.content_type}</span>
        <span>{sizeText(metadata.size)}</span>
        <span>
          ETag <code>{metadata.etag}</code>
        </span>
        {metadata.expires_at === undefined ? null : (
          <span>
            {metadata.deleted ? "expired" : "expires"} <time datetime={metadata.expires_at}>{metadata.expires_at}</time>
          </span>
        )}
        <Readers of={metadata} members={members} />
        <Tags tags={metadata.tags} />
      </p>
      <Others heading="Superseded by" ids={metadata.superseded_by} />
      <Others heading="Supersedes" ids={metadata.supersedes} />
      {metadata.metadata === undefined ? null : (
        <p class="quiet">
          Metadata{" "}
          <code>
            <Words text={JSON.stringify(metadata.metadata)} />
          </code>
        </p>
      )}
    </>
  );
}
