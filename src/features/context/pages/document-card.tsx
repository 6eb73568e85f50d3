// The text of one version; JSON is indented.
/** @jsxImportSource hono/jsx */

import type { z } from "zod";
import { sizeText } from "../../../lib/byte-size.ts";
import { Fault } from "../../../lib/fault.ts";
import { indentJson } from "../../../lib/indent-json.ts";
import { isJsonType } from "../../../lib/media-type.ts";
import { Refused } from "../../../page/text.tsx";
import { Written } from "../../../page/written.tsx";
import type { contextGet } from "../get.ts";
import { contextLink, rawLink } from "./links.ts";

/** Longest text that the page shows, in UTF-16 units. The raw document has the rest. */
const MAX_SHOWN = 128 * 1024;

type Content = z.infer<typeof contextGet.output>;

interface DocumentProps {
  id: string;
  /** Number of the newest version. */
  newest: number;
  /** The version that the URL names; "" and undefined: the newest. */
  version: string | undefined;
  content: Content | Fault;
}

export function Document({ id, newest, version, content }: DocumentProps) {
  const older = Boolean(version) && version !== String(newest);
  return (
    <section class="card" aria-labelledby="text-title">
      <div id="text" data-part>
        <div class="head">
          <h2 id="text-title">{older ? `Text of version ${version}` : "Text"}</h2>
          {older ? <a href={contextLink(id)}>newest</a> : null}
          {content instanceof Fault ? null : <a href={rawLink(id, content.version)}>raw</a>}
        </div>
        {content instanceof Fault ? <Refused fault={content} /> : <Text content={content} />}
      </div>
    </section>
  );
}

function Text({ content }: { content: Content }) {
  const whole = String(content.content);
  const cut = whole.length > MAX_SHOWN;
  const start = cut ? whole.slice(0, MAX_SHOWN).toWellFormed() : whole;
  return (
    <>
      <Written text={isJsonType(content.content_type) ? indentJson(start) : start} />
      {cut ? (
        <p class="quiet">
          The first {sizeText(MAX_SHOWN)} of {sizeText(content.size)}; “raw” has all of it.
        </p>
      ) : null}
    </>
  );
}
