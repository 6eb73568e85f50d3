// One line of a list of facts: a name and its value, in a `dl`.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";

/** A name and its value, in a `dl`. */
export function Fact({ name, children }: { name: string; children?: Child }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** A list of facts: names and values, in their order. */
export function Facts({ rows }: { rows: readonly (readonly [name: string, value: Child])[] }) {
  return (
    <dl>
      {rows.map(([name, value]) => (
        <Fact name={name}>{value}</Fact>
      ))}
    </dl>
  );
}
