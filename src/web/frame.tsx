// What every page has around it: head, bar, foot, and the one style and script. The Content-Security-Policy allows those two
// texts by their hashes and no others.
/** @jsxImportSource hono/jsx */

import { raw } from "hono/html";
import type { Child } from "hono/jsx";
import { sha256Hex } from "../lib/sha256.ts";
import type { FrameFacts } from "../operation/page.ts";
import { Words } from "../page/text.tsx";
import script from "./page.client.js" with { type: "text" };
import style from "./page.css" with { type: "text" };
import type { BarLink } from "./site.ts";

export interface Frame {
  title: string;
  /** Name of the node. */
  node: string;
  status?: FrameFacts["status"];
  /** Address of the page's live stream. */
  live?: string | undefined;
  links: readonly BarLink[];
  version: string;
}

const sourceOf = (text: string): string => `'sha256-${Buffer.from(sha256Hex(text), "hex").toString("base64")}'`;

/** Nothing from other hosts, no inline code but these two texts, no frames, no forms to other hosts. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `script-src ${sourceOf(script)}`,
  `style-src ${sourceOf(style)}`,
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

const STATUS_WORDS = { ok: "ok", warning: "needs attention", failing: "failing" } as const;

/** A whole HTML document. */
export function Document({ frame, children }: { frame: Frame; children?: Child }) {
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>{frame.title}</title>
        <link rel="icon" href="/ui/icon.svg" type="image/svg+xml" />
        <style>{raw(style)}</style>
      </head>
      <body data-live={frame.live}>
        <a class="skip" href="#main">
          Skip to content
        </a>
        <Bar frame={frame} />
        <main id="main">{children}</main>
        <footer>
          cairn {frame.version} <span aria-hidden="true">·</span> <a href="/openapi.json">openapi.json</a>
        </footer>
        <script>{raw(script)}</script>
      </body>
    </html>
  );
}

function Bar({ frame: { node, status, links } }: { frame: Frame }) {
  return (
    <header class="bar">
      <a class="brand" href="/">
        <Stones />
        <Words text={node.split(".")[0] ?? node} />
      </a>
      <span id="state" data-part class="state">
        {status === undefined ? null : <span class={`pill ${status}`}>{STATUS_WORDS[status]}</span>}
      </span>
      {links.length === 0 ? null : (
        <nav aria-label="Pages">
          {links.map(({ path, label }) => (
            <a href={path}>{label}</a>
          ))}
        </nav>
      )}
      <span id="live" class="live" role="status" hidden>
        live
      </span>
    </header>
  );
}

/** The mark: three stones on each other. */
function Stones() {
  return (
    <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
      {raw(STONES)}
    </svg>
  );
}

const STONES =
  '<ellipse cx="12" cy="18.5" rx="9.5" ry="3.6"/><ellipse cx="12.6" cy="11.6" rx="6.6" ry="3"/><ellipse cx="11.6" cy="5.8" rx="3.9" ry="2.4"/>';

/** The same as an SVG file, for the browser's tab. */
export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="#7a8a80">${STONES}</svg>`;
