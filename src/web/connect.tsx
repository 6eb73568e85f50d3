// How to connect a client: the same lines as `cairn setup` prints.
/** @jsxImportSource hono/jsx */

import { CLIENTS, clientLines } from "../lib/client-lines.ts";

/** `base` is the URL at which the caller reaches the node. */
export function Connect({ base }: { base: string }) {
  const target = { name: "cairn", mcpUrl: `${base}/mcp`, bridge: ["cairn", "bridge", "--url", base] };
  return (
    <section class="card" aria-labelledby="connect-title">
      <h2 id="connect-title">Connect</h2>
      <p>
        MCP <code class="take">{target.mcpUrl}</code>
      </p>
      {CLIENTS.map((client) => clientLines(client, target)).map((lines) => (
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
      ))}
      <details name="client">
        <summary>curl</summary>
        <pre class="take">{`curl -T plan.md -H 'Content-Type: text/markdown' ${base}/contexts/team-a/plan\ncurl ${base}/contexts/team-a/plan`}</pre>
      </details>
    </section>
  );
}
