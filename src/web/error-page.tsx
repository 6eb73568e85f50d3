// A Fault as a page: what failed, what to do, and for a caller without rights the grant to paste.
/** @jsxImportSource hono/jsx */

import { FAULTS, type Fault } from "../lib/fault.ts";
import { printable } from "../lib/printable.ts";
import { Words } from "../page/text.tsx";

export function ErrorPage({ fault, caller }: { fault: Fault; caller: string }) {
  const { status, title } = FAULTS[fault.code];
  const grant = fault.code === "forbidden" ? grantOf(fault.hint ?? "") : undefined;
  return (
    <section class="card fault">
      <p class="quiet">{status}</p>
      <h1>{title}</h1>
      <p>
        <Words text={fault.message} />
      </p>
      {grant === undefined ? (
        <p class="quiet">
          <Words text={fault.hint ?? ""} />
        </p>
      ) : (
        <>
          <p>Someone who may edit the tailnet policy can add this to its “grants”, with the spaces that are meant:</p>
          <pre class="take document">{grant}</pre>
          <p class="quiet">
            The tailnet says that you are <Words text={caller} />. The page works as soon as the grant is saved.
          </p>
        </>
      )}
      <p>
        <a href="/">To the start</a>
      </p>
    </section>
  );
}

/** The grant at the end of the gate's hint, laid out; undefined where there is none. */
function grantOf(hint: string): string | undefined {
  const at = hint.indexOf("{");
  if (at < 0) return undefined;
  try {
    return printable(shortLists(JSON.stringify(JSON.parse(hint.slice(at)), null, 2)));
  } catch {
    return undefined;
  }
}

/** Lists of words on one line each, as people write policies. */
function shortLists(json: string): string {
  return json.replace(
    /\[\s+("[^"\\]*"(?:,\s+"[^"\\]*")*)\s+\]/g,
    (_, words: string) => `[${words.replace(/",\s+"/g, '", "')}]`,
  );
}
