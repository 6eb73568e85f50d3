// Forms of pages: one operation each, called as the caller of the request. A form is taken only from a page of this
// node, since a browser sends any form anywhere, with the rights of its machine (security.md 14).

import { Fault } from "../lib/fault.ts";
import { essenceOf } from "../lib/media-type.ts";
import { type BodyHold, readBytes } from "../lib/request-body.ts";
import { refuseForeignQuery, textOfUtf8 } from "../lib/utf8.ts";
import type { PageForm } from "../operation/page.ts";

/** Largest body of a form: what people type, with its escapes. */
const MAX_FORM_BYTES = 256 * 1024;
const FORM_TYPE = "application/x-www-form-urlencoded";
/** The field of `FormKey`. */
const KEY = "key";

/** Throws Fault `forbidden` for a form that no page of this node sent. A browser always says where one is from. */
export function refuseForeignForm(request: Request, origin: string): void {
  const from = request.headers.get("origin");
  const site = request.headers.get("sec-fetch-site");
  if (from === origin && (site === null || site === "same-origin")) return;
  const said = from === null ? "says no origin" : `is from ${JSON.stringify(from.slice(0, 100))}`;
  throw new Fault("forbidden", `Forms are taken from the pages of ${origin} alone, and this one ${said}`, {
    hint: `Open the page at ${origin}, or write by REST, MCP or the command line.`,
  });
}

/** Returns the input of the form's operation. Faults as of `readBytes`, `unsupported_media_type`, `invalid_input`. */
export async function formInput(
  request: Request,
  hold: BodyHold,
  { fields, known, input }: PageForm,
  rest: string,
): Promise<Record<string, unknown>> {
  const essence = essenceOf(request.headers.get("content-type"));
  if (essence !== FORM_TYPE)
    throw new Fault("unsupported_media_type", `A form cannot be of type ${JSON.stringify(essence.slice(0, 80))}`, {
      hint: `Send ${FORM_TYPE}, as browsers do.`,
    });
  const text = textOfUtf8(await readBytes(request, hold, MAX_FORM_BYTES), "The form");
  refuseForeignQuery(`?${text}`);
  const values: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(text)) {
    if ((name !== KEY && !fields.includes(name)) || Object.hasOwn(values, name))
      throw new Fault("invalid_input", `The form has no single field ${JSON.stringify(name.slice(0, 80))}`, {
        hint: `Its fields are ${fields.join(", ")}.`,
      });
    values[name] = value.replaceAll("\r\n", "\n");
  }
  const { [KEY]: key, ...given } = values;
  return { ...input(given), ...known(rest), ...(key === undefined || key === "" ? {} : { idempotency_key: key }) };
}
