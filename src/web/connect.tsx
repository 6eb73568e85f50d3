// How to connect a client, as a page and on the overview: the same lines as `cairn setup` prints.
/** @jsxImportSource hono/jsx */

import { CLIENTS, type ClientLines, clientLines } from "../lib/client-lines.ts";
import type { Page, Section, View, Visit } from "../operation/page.ts";
import { type Preset, READ_ONLY } from "../operation/presets.ts";

/** The lines of each client, to be opened. */
export const connectSection: Section = {
  column: "side",
  order: 50,
  async show(visit) {
    const { mcpUrl, clients, curl } = await linesFor(visit);
    return {
      body: (
        <section class="card" aria-labelledby="connect-title">
          <h2 id="connect-title">Connect</h2>
          <p>
            MCP <code class="take">{mcpUrl}</code>
          </p>
          {[...clients, curl].map((lines) => (
            <details name="client">
              <summary>{lines.title}</summary>
              <Steps lines={lines} />
            </details>
          ))}
        </section>
      ),
    };
  },
};

/** Returns the page with the lines of all clients at once, and the presets of MCP. */
export function connectPageWith(presets: readonly Pick<Preset, "name" | "summary">[]): Page {
  return {
    path: "/ui/connect",
    summary: "How to connect clients to this node",
    navigation: { order: 80, label: "Connect" },
    open: (visit) => openConnect(visit, presets),
  };
}

async function openConnect(visit: Visit, presets: readonly Pick<Preset, "name" | "summary">[]): Promise<View> {
  const [{ name }, { mcpUrl, clients, curl }] = await Promise.all([visit.frame(), linesFor(visit)]);
  return {
    title: `Connect: ${name}`,
    body: (
      <div class="wide">
        <section class="card" aria-labelledby="connect-title">
          <h1 id="connect-title">Connect</h1>
          <p>
            Any MCP client that speaks HTTP takes this address; no key is needed, since{" "}
            {visit.caller.id === "local:dev" ? "everyone on this machine may use it." : "the tailnet says who calls."}
          </p>
          <pre class="take">{mcpUrl}</pre>
          <p>
            It offers all tools, which are many for a client that shows them all to its model: <code>core</code> has
            those for daily work. A preset offers other tools at an address of its own; none changes a right:
          </p>
          <ul class="rows">
            {presets.map(({ name, summary }) => (
              <li>
                <code class="take">{`${mcpUrl}?preset=${name}`}</code> <span class="quiet">{summary}</span>
              </li>
            ))}
            <li>
              <code class="take">{`${mcpUrl}?preset=${READ_ONLY}`}</code>{" "}
              <span class="quiet">only reads; beside another one as {`?preset=core,${READ_ONLY}`}</span>
            </li>
          </ul>
          <p class="quiet">
            Programs that use REST find their calls in <a href="/openapi.json">openapi.json</a>.
          </p>
        </section>
        <div class="clients">
          {[...clients, curl].map((lines, index) => (
            <section class="card" aria-labelledby={`client-${index}`}>
              <h2 id={`client-${index}`}>{lines.title}</h2>
              <Steps lines={lines} />
            </section>
          ))}
        </div>
      </div>
    ),
  };
}

type Shown = Pick<ClientLines, "title" | "steps" | "note">;

/** Returns the lines for whoever looks: by the URL at which it reaches the node. */
async function linesFor(visit: Visit): Promise<{ mcpUrl: string; clients: Shown[]; curl: Shown }> {
  const { url } = await visit.frame();
  const base = visit.caller.kind === "local" ? visit.origin : (url ?? visit.origin);
  const mcpUrl = `${base}/mcp`;
  const target = { name: "cairn", mcpUrl, bridge: ["cairn", "bridge", "--url", base] };
  const upload = `curl -T plan.md -H 'Content-Type: text/markdown' ${base}/contexts/team-a/plan`;
  return {
    mcpUrl,
    clients: CLIENTS.map((client) => clientLines(client, target)),
    curl: {
      title: "curl",
      steps: [{ kind: "run", where: "in a shell", text: `${upload}\ncurl ${base}/contexts/team-a/plan` }],
      note: "",
    },
  };
}

function Steps({ lines: { steps, note } }: { lines: Shown }) {
  return (
    <>
      {steps.map(({ where, text }, index) => (
        <>
          <p class="quiet">
            {index > 0 ? "or " : ""}
            {where}
          </p>
          <pre class="take">{text}</pre>
        </>
      ))}
      {note === "" ? null : <p class="quiet">{note}</p>}
    </>
  );
}
