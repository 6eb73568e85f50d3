// The page of one context: its text in any kept version, its metadata, its history, and what changed between two versions.
/** @jsxImportSource hono/jsx */

import { Fault } from "../lib/fault.ts";
import type { Asker, Shown } from "./ask.ts";
import { Tags } from "./context-list.tsx";
import { Diff } from "./diff.tsx";
import { indentJson } from "./indent-json.ts";
import { type ContextView, contextLink, listLink, rawLink } from "./links.ts";
import { Ago, type Named, nameText, Refused, sizeText, Words } from "./text.tsx";

export interface ContextFacts {
  id: string;
  view: ContextView;
  metadata: Shown<"context_metadata">;
  /** The text, or why there is none: deleted, purged, no such version. */
  content: Shown<"context_get"> | Fault;
  history: Shown<"context_history"> | Fault;
  diff: Shown<"context_diff"> | Fault | undefined;
  members: Named;
  nowMs: number;
}

/** Versions on one page of the history. */
const PAGE = 20;
/** More of a text than this (in UTF-16 units) is not laid out on the page; the raw document is one click away. */
const MAX_SHOWN = 128 * 1024;

/** Throws the Fault of a context that is not there, or that the caller may not read. */
export async function contextFacts(
  asker: Asker,
  id: string,
  view: ContextView,
  nowMs: number,
): Promise<Omit<ContextFacts, "members">> {
  const metadata = await asker.ask("context_metadata", { id });
  const { version, from, to, before } = view;
  const wantsDiff = from !== undefined && from !== "";
  const [content, history, diff] = await Promise.all([
    asker.tryAsk("context_get", { id, format: "text", ...(version ? { version: wholeNumber(version) } : {}) }),
    asker.tryAsk("context_history", { id, limit: PAGE, ...(before ? { cursor: before } : {}) }),
    wantsDiff
      ? asker.tryAsk("context_diff", {
          id,
          from: wholeNumber(from),
          ...(to ? { to: wholeNumber(to) } : {}),
          ...(view.format ? { format: view.format } : {}),
        })
      : undefined,
  ]);
  return { id, view, metadata, content, history, diff, nowMs };
}

export function ContextPage({ facts }: { facts: ContextFacts }) {
  const { id, metadata, diff, view, history } = facts;
  return (
    <>
      <div class="title">
        <p class="crumb">
          <a href="/">Contexts</a> <span aria-hidden="true">/</span>{" "}
          <a href={listLink({ prefix: `${metadata.space}/` })}>{metadata.space}</a>
        </p>
        <h1 class="id">{id}</h1>
        <div id="about" data-part>
          <About facts={facts} />
        </div>
      </div>
      {diff === undefined ? null : <Diff id={id} view={view} diff={diff} />}
      <div class="columns">
        <div class="wide">
          <Document facts={facts} />
        </div>
        <div class="side">
          <section class="card" aria-labelledby="history-title">
            <h2 id="history-title">History</h2>
            <div id="history" data-part>
              {history instanceof Fault ? <Refused fault={history} /> : <History facts={facts} history={history} />}
            </div>
          </section>
        </div>
      </div>
    </>
  );
}

function About({ facts: { metadata, members, nowMs } }: { facts: ContextFacts }) {
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
          <Words text={nameText(metadata.author, members)} />
        </span>
        <span>
          created <Ago time={metadata.created_at} nowMs={nowMs} />
        </span>
        <span>{metadata.content_type}</span>
        <span>{sizeText(metadata.size)}</span>
        <span>
          ETag <code>{metadata.etag}</code>
        </span>
        <Tags tags={metadata.tags} />
      </p>
    </>
  );
}

function Document({ facts }: { facts: ContextFacts }) {
  const { content, id, metadata, view } = facts;
  const older = Boolean(view.version) && view.version !== String(metadata.version);
  return (
    <section class="card" aria-labelledby="text-title">
      <div id="text" data-part>
        <div class="head">
          <h2 id="text-title">{older ? `Text of version ${view.version}` : "Text"}</h2>
          {older ? <a href={contextLink(id)}>newest</a> : null}
          {content instanceof Fault ? null : <a href={rawLink(id, content.version)}>raw</a>}
        </div>
        {content instanceof Fault ? <Refused fault={content} /> : <Text content={content} />}
      </div>
    </section>
  );
}

function Text({ content }: { content: Shown<"context_get"> }) {
  const whole = String(content.content);
  const cut = whole.length > MAX_SHOWN;
  const start = cut ? whole.slice(0, MAX_SHOWN).toWellFormed() : whole;
  const json = /^application\/(.*\+)?json$/.test(content.content_type);
  return (
    <>
      <pre class="document">
        <Words block text={json ? indentJson(start) : start} />
      </pre>
      {cut ? (
        <p class="quiet">
          The first {sizeText(MAX_SHOWN)} of {sizeText(content.size)}; the whole is behind “raw”.
        </p>
      ) : null}
    </>
  );
}

function History({ facts, history }: { facts: ContextFacts; history: Shown<"context_history"> }) {
  const { id, nowMs, view } = facts;
  return (
    <>
      <ol class="history">
        {history.versions.map((version, index) => {
          const kept = isKept(version);
          const before = history.versions.slice(index + 1).find(isKept)?.version;
          const number = String(version.version);
          return (
            <li>
              <span class="number">{kept ? <a href={contextLink(id, { version: number })}>{number}</a> : number}</span>
              <span>
                <Ago time={version.time} nowMs={nowMs} />{" "}
                <span class="quiet by">
                  <Words text={nameText(version.author, facts.members)} />
                  {version.via === "" ? null : ` via ${version.via}`}
                </span>
              </span>
              <span class="quiet end">
                {version.purged ? "purged" : version.deleted ? "deleted" : sizeText(version.size)}
              </span>
              <span class="end">
                {kept && before !== undefined ? (
                  <a
                    href={contextLink(id, { from: String(before), to: number })}
                    aria-label={`Changes of version ${number}`}
                  >
                    diff
                  </a>
                ) : null}
              </span>
            </li>
          );
        })}
      </ol>
      <nav class="pages" aria-label="Pages of the history">
        {view.before ? <a href={contextLink(id)}>Newest</a> : null}
        {history.cursor === undefined ? null : <a href={contextLink(id, { before: history.cursor })}>Older</a>}
      </nav>
    </>
  );
}

/** Whether a version has a text. */
function isKept(version: { deleted: boolean; purged: boolean }): boolean {
  return !version.deleted && !version.purged;
}

/** Numbers come from links and forms of the page; anything else goes on as it is, for the operation to refuse in its words. */
function wholeNumber(text: string): number | string {
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : text;
}
