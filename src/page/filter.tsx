// The form that narrows the list of a page: it asks for the same page with other parameters.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";

/** The form around its fields. `action`: address of the page. */
export function Filter({ action, children }: { action: string; children: Child }) {
  return (
    <search>
      <form method="get" action={action} class="filter">
        {children}
        <button type="submit">Filter</button>
      </form>
    </search>
  );
}

interface TextProps {
  name: string;
  /** For who does not see the placeholder. */
  label: string;
  value: string;
  placeholder: string;
  /** Most characters. */
  max: number;
}

/** A text of the list: "" is no filter. */
export function FilterText({ name, label, value, placeholder, max }: TextProps) {
  return (
    <label>
      <span class="hidden">{label}</span>
      <input type="search" name={name} value={value} placeholder={placeholder} maxlength={max} />
    </label>
  );
}

interface StateProps {
  value: string;
  /** What stands for no filter. */
  any: string;
  states: readonly string[];
}

/** The parameter `state`: one of several, or "". */
export function FilterState({ value, any, states }: StateProps) {
  return (
    <label>
      <span class="hidden">State</span>
      <select name="state">
        <option value="">{any}</option>
        {states.map((state) => (
          <option value={state} selected={value === state}>
            {state}
          </option>
        ))}
      </select>
    </label>
  );
}
