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

interface ChoiceProps {
  name: string;
  label: string;
  value: string;
  /** Values with their words, in their order. */
  choices: readonly (readonly [value: string, words: string])[];
}

/** One of several: "" is no filter. */
export function FilterChoice({ name, label, value, choices }: ChoiceProps) {
  return (
    <label>
      <span class="hidden">{label}</span>
      <select name={name}>
        {choices.map(([each, words]) => (
          <option value={each} selected={value === each}>
            {words}
          </option>
        ))}
      </select>
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
  const choices = [["", any] as const, ...states.map((state) => [state, state] as const)];
  return <FilterChoice name="state" label="State" value={value} choices={choices} />;
}
