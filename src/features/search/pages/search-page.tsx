// The page of searches: a box, and what was found. It reads addresses of other features' pages as text, since no
// feature imports another one.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import type { Page } from "../../../operation/page.ts";
import { Services } from "../../../operation/services.ts";
import { foundAddress } from "../../../page/address.ts";
import { Ago, type Named, nameText, Words } from "../../../page/text.tsx";
import { MAX_QUERY } from "../query.ts";
import { searchOperation } from "../search.ts";

const PATH = "/ui/search";

const asked = searchOperation(new Services());

type Answer = z.infer<typeof asked.output>;
type Hit = Answer["hits"][number];

/** The page. */
export const searchPage: Page = {
  path: PATH,
  summary: "Search: a box, and contexts and messages that have its words",
  navigation: { order: 40, label: "Search", needs: asked.name },
  async open(visit) {
    const view = { q: visit.parameter("q").trim(), space: visit.parameter("space"), kind: visit.parameter("kind") };
    const cursor = visit.parameter("cursor");
    const narrowed = { ...(view.space && { space: view.space }), ...(view.kind && { kind: view.kind }) };
    const [answer, { name, members }] = await Promise.all([
      view.q === "" ? undefined : visit.ask(asked, { query: view.q, ...narrowed, ...(cursor && { cursor }) }),
      visit.frame(),
    ]);
    return {
      title: `Search: ${name}`,
      body: <Found answer={answer} view={view} members={members} nowMs={visit.nowMs} />,
    };
  },
};

interface View {
  q: string;
  space: string;
  kind: string;
}

function Found({
  answer,
  view,
  members,
  nowMs,
}: {
  answer: Answer | undefined;
  view: View;
  members: Named;
  nowMs: number;
}) {
  return (
    <section class="card" aria-labelledby="search-title">
      <div class="head">
        <h1 id="search-title">Search</h1>
        <span id="found" role="status" data-part class="quiet">
          {answer === undefined ? "" : foundText(answer)}
        </span>
      </div>
      <Box view={view} />
      <div id="hits" data-part>
        {answer === undefined ? (
          <p class="empty">Words in titles, tags and texts, mistyped words, and parts of identifiers.</p>
        ) : (
          <Hits answer={answer} view={view} members={members} nowMs={nowMs} />
        )}
      </div>
    </section>
  );
}

/** Returns how much was found, which is read aloud while somebody types. */
function foundText({ hits, more }: Answer): string {
  return more === true ? `the best ${hits.length} of more` : `${hits.length} found`;
}

function Box({ view }: { view: View }) {
  return (
    <search>
      <form method="get" action={PATH} class="filter" data-typed="found">
        <label>
          <span class="hidden">Words</span>
          <input type="search" name="q" value={view.q} placeholder="words" required maxlength={MAX_QUERY} autofocus />
        </label>
        <label>
          <span class="hidden">Only in this space</span>
          <input type="search" name="space" value={view.space} placeholder="space" maxlength={200} />
        </label>
        <label>
          <span class="hidden">Kind</span>
          <select name="kind">
            <option value="">everything</option>
            {["context", "message"].map((kind) => (
              <option value={kind} selected={view.kind === kind}>
                {kind}s
              </option>
            ))}
          </select>
        </label>
        <button type="submit">Search</button>
      </form>
    </search>
  );
}

function Hits({ answer, view, members, nowMs }: { answer: Answer; view: View; members: Named; nowMs: number }) {
  return (
    <>
      {answer.index.building === true ? <p>The index is being built: what is older may be missing.</p> : null}
      {answer.hits.length === 0 ? <p class="empty">Nothing that you may read was found.</p> : null}
      <ol class="hits">
        {answer.hits.map((hit) => (
          <li>
            <a href={foundAddress(hit)}>
              <Words text={hit.title ?? hit.id ?? hit.session ?? ""} />
            </a>{" "}
            <span class="tag">
              <Words text={hit.space} />
            </span>{" "}
            {(hit.tags ?? []).map((tag) => (
              <>
                <span class="tag">
                  <Words text={tag} />
                </span>{" "}
              </>
            ))}
            <p>
              <Marked hit={hit} />
            </p>
            <p class="by">
              <Words text={hit.agent ?? nameText(hit.author, members)} />, <Ago time={hit.time} nowMs={nowMs} />
              <Corrected hit={hit} />
              {isByMeaning(hit) ? ", by meaning" : null}
            </p>
          </li>
        ))}
      </ol>
      {answer.index.meaning?.failed === true ? <p>Only words were looked at: vectors are missing now.</p> : null}
      <More answer={answer} view={view} />
    </>
  );
}

function More({ answer: { more, cursor }, view }: { answer: Answer; view: View }) {
  if (more !== true) return null;
  if (cursor === undefined) return <p>There is more: name more words, or narrow the search.</p>;
  return (
    <p>
      <a href={`${PATH}?${new URLSearchParams({ ...view, cursor })}`}>More</a>
    </p>
  );
}

function Corrected({ hit }: { hit: Hit }) {
  return (
    <>
      {Object.entries(hit.why.corrected ?? {}).map(([word, other]) => (
        <>
          {", "}
          <Words text={other} /> for <Words text={word} />
        </>
      ))}
    </>
  );
}

/** Reports whether nothing but its meaning is near to the query. */
function isByMeaning({ why: { meaning = 0, matched, corrected, part } }: Hit): boolean {
  return meaning > 0 && matched.length === 0 && corrected === undefined && part === 0;
}

/** The preview, with what matches marked. */
function Marked({ hit: { preview, marks } }: { hit: Hit }) {
  let at = 0;
  const parts = marks.flatMap(([start = 0, end = 0]) => {
    const before = preview.slice(at, Math.max(at, start));
    const marked = preview.slice(Math.max(at, start), end);
    at = Math.max(at, end);
    return [
      <Words text={before} />,
      <mark>
        <Words text={marked} />
      </mark>,
    ];
  });
  return (
    <>
      {parts}
      <Words text={preview.slice(at)} />
    </>
  );
}
