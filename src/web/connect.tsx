// How to connect a client, on the overview: the same lines as `cairn setup` prints.
/** @jsxImportSource hono/jsx */

import { CLIENTS, clientLines } from "../lib/client-lines.ts";
import type { Section } from "../operation/page.ts";

/** The lines of each client. */
export const connectSection: Section = {
  column: "side",
  order: 50,
  async show(visit) {
    const { url } = await visit.frame();
    return { body: <Connect base={visit.caller.kind === "local" ? visit.origin : (url ?? visit.origin)} /> };
  },
};

/** `base` is the URL at which the caller reaches the node. */
function Connect({ base }: { base: string }) {
  const target = { name: "cairn", mcpUrl: `${base}/mcp`, bridge: ["cairn", "bridge", "--url", base] };
  const upload = `curl -T plan.md -H 'Content-Type: text/markdown' ${base}/contexts/team-a/plan`;
  return (
    <section class="card" aria-labelledby="connect-title">
      <h2 id="connect-title">Connect</h2>
      <p>
        MCP <code class="take">{target.mcpUrl}</code>
      </p>
      {CLIENTS.map((client) => (
        <Client lines={clientLines(client, target)} />
      ))}
      <details name="client">
        <summary>curl</summary>
        <pre class="take">{`${upload}\ncurl ${base}/contexts/team-a/plan`}</pre>
      </details>
    </section>
  );
}

function Client({ lines }: { lines: ReturnType<typeof clientLines> }) {
  return (
    <details name="client">
      <summary>{lines.title}</summary>
      {lines.steps.map((step, index) => (
        <>
          <p class="quiet">
            {index > 0 ? "or " : ""}
            {step.where}
          </p>
          <pre class="take">{step.text}</pre>
        </>
      ))}
      {lines.note === "" ? null : <p class="quiet">{lines.note}</p>}
    </details>
  );
}
