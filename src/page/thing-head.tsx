// The top of the page of one thing: the way back to its list, its name, and below it its state, which is exchanged.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";
import { Words } from "./text.tsx";

/** Takes the list that has the thing, its name, and the id of its state, which is unique on the page. */
export interface ThingHeadProps {
  list: { path: string; label: string };
  name: string;
  state: string;
  children?: Child;
  /** Below the state, and not exchanged: fields that somebody fills in. */
  below?: Child;
}

/** The head; the children are the state. */
export function ThingHead({ list, name, state, children, below }: ThingHeadProps) {
  return (
    <div class="title">
      <p class="crumb">
        <a href={list.path}>{list.label}</a>
      </p>
      <h1 class="id">
        <Words text={name} />
      </h1>
      <div id={state} data-part>
        {children}
      </div>
      {below}
    </div>
  );
}
