// What every page has around it: head, bar, foot, and the one style and script. The Content-Security-Policy allows
// those two texts by their hashes and no others.
/** @jsxImportSource hono/jsx */

import { raw } from "hono/html";
import type { Child } from "hono/jsx";
import { sha256Hex } from "../lib/sha256.ts";
import type { FrameFacts } from "../operation/page.ts";
import { SHARED_STYLE } from "../page/style.ts";
import { Words } from "../page/text.tsx";
import { CHART_INTEGRITY, CHART_PATH } from "./chart.ts";
import frameStyle from "./frame.css" with { type: "text" };
import script from "./page.client.js" with { type: "text" };
import { ICON_PATH } from "./paths.ts";
import type { BarLink } from "./site.ts";

/** What all pages of a node have in common. */
export interface Shell {
  style: string;
  version: string;
}

/** What one page has around it. */
export interface Frame {
  title: string;
  /** Name of the node. */
  node: string;
  /** Links of the bar to pages that the caller may see. */
  links: readonly BarLink[];
  status?: FrameFacts["status"];
  /** Address of the page's live stream. */
  live?: string | undefined;
  /** After so many seconds the page is fetched again; left out: only after changes. */
  againSeconds?: number | undefined;
  /** Path of the page, to mark its link in the bar. Left out for a Fault, as is `json`. */
  path?: string;
  /** Address at which the page is JSON. */
  json?: string;
  /** The page has charts. */
  charts?: true | undefined;
}

/** Returns the style of all pages, with what features add to it. */
export function styleWith(features: readonly string[]): string {
  return [SHARED_STYLE, frameStyle, ...features].join("\n");
}

/**
 * Nothing from other hosts, no code but the inline script, this style and, for charts, the one script that draws them;
 * no frames, no forms to other hosts.
 */
export function policyWith(style: string, charts = false): string {
  return [
    "default-src 'none'",
    `script-src ${sourceOf(script)}${charts ? ` '${CHART_INTEGRITY}'` : ""}`,
    `style-src ${sourceOf(style)}`,
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}

function sourceOf(text: string): string {
  return `'sha256-${Buffer.from(sha256Hex(text), "hex").toString("base64")}'`;
}

/** A whole HTML document. */
export function Document({ shell, frame, children }: { shell: Shell; frame: Frame; children?: Child }) {
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>{frame.title}</title>
        <link rel="icon" href={ICON_PATH} type="image/svg+xml" />
        <style>{raw(shell.style)}</style>
      </head>
      <body data-live={frame.live} data-again={frame.againSeconds}>
        <a class="skip" href="#main">
          Skip to content
        </a>
        <Bar frame={frame} />
        <main id="main">{children}</main>
        <footer>
          cairn {shell.version} <span aria-hidden="true">·</span> <a href="/openapi.json">openapi.json</a>
          {frame.json === undefined ? null : (
            <>
              {" "}
              <span aria-hidden="true">·</span>{" "}
              <a href={frame.json} rel="alternate" type="application/json">
                this page as JSON
              </a>
            </>
          )}
        </footer>
        {frame.charts === true ? <script src={CHART_PATH} integrity={CHART_INTEGRITY} defer /> : null}
        <script>{raw(script)}</script>
      </body>
    </html>
  );
}

const STATUS_WORDS = { ok: "ok", warning: "needs attention", failing: "failing" } as const;

function Bar({ frame: { node, links, status, path = "" } }: { frame: Frame }) {
  const current = links.findLast(
    (link) => path === link.path || (link.path !== "/" && path.startsWith(`${link.path}/`)),
  );
  return (
    <header class="bar">
      <a class="brand" href="/">
        <Stones />
        <Words text={node.split(".")[0] ?? node} />
      </a>
      <span id="state" data-part class="state">
        {status === undefined ? null : <span class={`pill ${status}`}>{STATUS_WORDS[status]}</span>}
      </span>
      <span id="live" class="live" role="status" hidden>
        live
      </span>
      <nav aria-label="Pages">
        {links.map((link) => (
          <a href={link.path} aria-current={link === current ? "page" : undefined}>
            {link.label}
          </a>
        ))}
      </nav>
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

const STONES = [
  '<ellipse cx="12" cy="18.5" rx="9.5" ry="3.6"/>',
  '<ellipse cx="12.6" cy="11.6" rx="6.6" ry="3"/>',
  '<ellipse cx="11.6" cy="5.8" rx="3.9" ry="2.4"/>',
].join("");

/** The same as an SVG file, for the browser's tab. */
export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="#7a8a80">${STONES}</svg>`;
