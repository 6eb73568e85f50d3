// The page of memories: what agents remember in a space, by key or by time, and a box that looks for words. Each is a
// context, so its text, history and diffs are on the page of that.
/** @jsxImportSource hono/jsx */

import { z } from "zod";
import { sizeText } from "../../../lib/byte-size.ts";
import { counted } from "../../../lib/counted.ts";
import { Fault } from "../../../lib/fault.ts";
import type { Page, Visit } from "../../../operation/page.ts";
import { address } from "../../../page/address.ts";
import { PageLinks } from "../../../page/page-links.tsx";
import { Ago, type Named, Words } from "../../../page/text.tsx";
import { Who } from "../../../page/who.tsx";
import { memoryList, memoryTimeline } from "../list.ts";
import { SCOPES } from "../places.ts";
import { memorySearch } from "../search.ts";
import { KINDS, type Memory } from "../shown.ts";

const MEMORY = "/ui/memory";
/** Memories on one page. */
const PAGE = 50;
const MAX_QUERY = 200;
const FIELDS = ["q", "space", "scope", "kind", "about", "order", "cursor"] as const;

/** The spaces of the caller, as `prime` of the contexts returns them: features meet in operations. */
const PRIME = { name: "prime", output: z.object({ spaces: z.array(z.object({ space: z.string() })) }) };

type View = Record<(typeof FIELDS)[number], string>;

/** A memory on the page; one that was found has the line that matched. */
type Shown = Memory & { preview?: string };

interface Found {
  memories: readonly Shown[];
  cursor?: string | undefined;
  cut?: true | undefined;
}

/** The page. */
export const memoryPage: Page = {
  path: MEMORY,
  summary: "Memory: what agents remember in a space, by key, time or words",
  navigation: { order: 30, label: "Memory", needs: memoryList.name },
  async open(visit) {
    const given = Object.fromEntries(FIELDS.map((name) => [name, visit.parameter(name).trim()])) as View;
    const [spaces, { name, members }] = await Promise.all([spacesFor(visit), visit.frame()]);
    const view = { ...given, space: given.space === "" ? (spaces[0] ?? "default") : given.space };
    const found = await foundFor(visit, view);
    return {
      title: `Memory: ${name}`,
      follows: { prefix: `${view.space}/memory/` },
      body: <MemoryView found={found} view={view} spaces={spaces} members={members} nowMs={visit.nowMs} />,
    };
  },
};

/** Returns the spaces that the caller may choose from, `default` first where it is one. */
async function spacesFor(visit: Visit): Promise<string[]> {
  const prime = await visit.tryAsk(PRIME);
  if (prime instanceof Fault) return [];
  const isDefault = (space: string) => (space === "default" ? 0 : 1);
  return prime.spaces.map(({ space }) => space).sort((one, other) => isDefault(one) - isDefault(other));
}

function foundFor(visit: Visit, { q, order, cursor, space, scope, kind, about }: View): Promise<Found> {
  const where = { space, ...(scope && { scope }), ...(kind && { kind }), ...(about && { about }) };
  const from = cursor === "" ? {} : { cursor };
  if (q !== "") return visit.ask(memorySearch, { query: q, limit: PAGE, ...where, ...from });
  if (order === "time") return visit.ask(memoryTimeline, { limit: PAGE, ...where });
  return visit.ask(memoryList, { limit: PAGE, ...where, ...from });
}

interface MemoryProps {
  found: Found;
  view: View;
  spaces: readonly string[];
  members: Named;
  nowMs: number;
}

function MemoryView({ found, view, spaces, members, nowMs }: MemoryProps) {
  return (
    <section class="card" aria-labelledby="memory-title">
      <div class="head">
        <h1 id="memory-title">Memory</h1>
        <span id="found" role="status" data-part class="quiet">
          {counted(found.memories.length, "memory", "memories")}
          {found.cursor === undefined && found.cut === undefined ? "" : ", and more"}
        </span>
      </div>
      <Filter view={view} spaces={spaces} />
      <div id="memories" data-part>
        <Memories found={found} view={view} members={members} nowMs={nowMs} />
      </div>
    </section>
  );
}

function Filter({ view, spaces }: Pick<MemoryProps, "view" | "spaces">) {
  const select = (
    name: "scope" | "kind" | "order" | "space",
    label: string,
    options: readonly (readonly string[])[],
  ) => (
    <label>
      {label}
      <select name={name}>
        {options.map(([value = "", text = value]) => (
          <option value={value} selected={view[name] === value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
  const named = spaces.includes(view.space) ? spaces : [view.space, ...spaces];
  return (
    <search>
      <form method="get" action={MEMORY} class="fields" data-typed="found">
        <label>
          Words
          <input type="search" name="q" value={view.q} maxlength={MAX_QUERY} />
        </label>
        {select(
          "space",
          "Space",
          named.map((space) => [space]),
        )}
        {select("scope", "Whose", [["", "everybody's"], ...SCOPES.map((scope) => [scope])])}
        {select("kind", "Kind", [["", "every kind"], ...KINDS.map((kind) => [kind])])}
        <label>
          About
          <input name="about" value={view.about} maxlength={128} />
        </label>
        {select("order", "Order", [
          ["", "by key"],
          ["time", "newest first"],
        ])}
        <button type="submit">Show</button>
      </form>
    </search>
  );
}

function Memories({ found: { memories, cursor, cut }, view, members, nowMs }: Omit<MemoryProps, "spaces">) {
  return (
    <>
      {memories.length === 0 ? <p class="empty">Nothing that you may read is remembered here.</p> : null}
      <ul class="rows">
        {memories.map((memory) => (
          <li>
            <a class="id" href={`/ui/contexts/${memory.id.split("/").map(encodeURIComponent).join("/")}`}>
              <Words text={memory.key} />
            </a>{" "}
            <span class="tag">{memory.kind}</span>{" "}
            <span class="tag">
              {memory.scope === "other" ? `of ${memory.owner_agent ?? memory.owner}` : memory.scope}
            </span>{" "}
            {memory.visibility === undefined ? null : (
              <span class="pill warning">{memory.visibility.replace("_", " ")}</span>
            )}{" "}
            {memory.tags.map((tag) => (
              <>
                <span class="tag">
                  <Words text={tag} />
                </span>{" "}
              </>
            ))}
            {memory.title === "" ? null : (
              <p>
                <Words text={memory.title} />
              </p>
            )}
            {memory.preview === undefined ? null : (
              <p class="about">
                <Words text={memory.preview} />
              </p>
            )}
            <Facts memory={memory} members={members} nowMs={nowMs} />
          </li>
        ))}
      </ul>
      {cut === undefined ? null : <p class="quiet">Not all could be looked at: narrow it down.</p>}
      <PageLinks
        of="list"
        first={view.cursor === "" ? undefined : address(MEMORY, { ...view, cursor: "" })}
        next={cursor === undefined ? undefined : address(MEMORY, { ...view, cursor })}
      />
    </>
  );
}

function Facts({ memory, members, nowMs }: { memory: Shown; members: Named; nowMs: number }) {
  const { about, author, agent, updated_at, version, size, expires_at, superseded_by } = memory;
  return (
    <p class="quiet about">
      {about === undefined ? null : (
        <>
          about <Words text={about} />,{" "}
        </>
      )}
      <Who author={author} agent={agent} members={members} />, <Ago time={updated_at} nowMs={nowMs} />,{" "}
      {version === 1 ? "" : `version ${version}, `}
      {sizeText(size)}
      {expires_at === undefined ? null : (
        <>
          , expires <time datetime={expires_at}>{expires_at.slice(0, 16).replace("T", " ")}</time>
        </>
      )}
      {superseded_by === undefined ? null : (
        <>
          , superseded by <Words text={superseded_by.join(", ")} />
        </>
      )}
    </p>
  );
}
