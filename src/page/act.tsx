// A form of one button that writes.
/** @jsxImportSource hono/jsx */

import type { Child } from "hono/jsx";
import { FormKey } from "./form-key.tsx";

/** Takes where it goes and its button; the children are its fields, beside the button. */
export function Act({ action, label, children }: { action: string; label: string; children?: Child }) {
  return (
    <form method="post" action={action} class="acts">
      <FormKey />
      {children}
      <button type="submit">{label}</button>
    </form>
  );
}
