// A table that lists things: the heads of its columns, and one row for each thing.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";

/** The head of a column: its words, and the classes that say how it is shown, such as `number wider`. */
export type Column = string | readonly [name: string, classes: string];

/** Takes the columns; the children are the rows (`tr`). */
export function ListTable({ columns, children }: { columns: readonly Column[]; children?: Child }) {
  return (
    <table class="list">
      <thead>
        <tr>
          {columns.map((column) => {
            const [name, classes] = typeof column === "string" ? [column] : column;
            return (
              <th scope="col" class={classes}>
                {name}
              </th>
            );
          })}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  );
}
