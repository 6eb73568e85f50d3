// The page at `/`: the sections that manifests bring, in two columns. Each is rendered apart, since rights may allow
// one and not another.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";
import type { Page, Section } from "../operation/page.ts";

/** Makes the overview of its sections, which are in the order of their columns. */
export function overviewOf(sections: readonly Section[]): Page {
  const headings = sections.flatMap(({ heading }) => (heading === undefined ? [] : [heading])).join(", ");
  return {
    path: "/",
    summary: "The overview: contexts, members and conditions of this node",
    navigation: { order: 0, label: "Overview" },
    async open(visit) {
      const [{ name }, ...shown] = await Promise.all([
        visit.frame(),
        ...sections.map(async (section) => ({ column: section.column, ...(await section.show(visit)) })),
      ]);
      const follows = shown.find((section) => section.follows !== undefined)?.follows;
      const inColumn = (wanted: Section["column"]) =>
        shown.filter(({ column }) => column === wanted).map(({ body }) => body);
      return {
        title: `${name}: ${headings.toLowerCase()}`,
        ...(follows === undefined ? {} : { follows }),
        body: <Columns headings={headings} wide={inColumn("wide")} side={inColumn("side")} />,
      };
    },
  };
}

function Columns({ headings, wide, side }: { headings: string; wide: Child[]; side: Child[] }) {
  return (
    <div class="columns">
      <h1 class="hidden">{headings} and state of this node</h1>
      <div class="wide">{wide}</div>
      <div class="side">{side}</div>
    </div>
  );
}
