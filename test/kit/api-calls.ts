// Calls of the HTTP interface whose answers are compared with its description: the parts of a watched fleet.

/** The SHA-256 of `test`. */
export const TEST_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/** Returns a request with a JSON body; its method is that of the row. */
export const json = (body: unknown, headers: Record<string, string> = {}): BunFetchRequestInit => ({
  body: typeof body === "string" ? body : JSON.stringify(body),
  headers: { "content-type": "application/json", ...headers },
});

/** Method, path of the description, address, request, status. */
export const FLEET_CALLS: readonly [string, string, string, BunFetchRequestInit, number][] = [
  ["GET", "/probes", "/probes?space=fleet&state=up", {}, 200],
  ["GET", "/probes/{name}", "/probes/website", {}, 200],
  ["GET", "/probes/{name}", "/probes/website?space=team", {}, 404],
  ["POST", "/probes/{name}/beat", "/probes/backup/beat", json({ text: "42 files" }), 200],
  ["POST", "/probes/{name}/beat", "/probes/website/beat", json({}), 400],
  ["GET", "/services", "/services?space=ops&state=idle", {}, 200],
  ["GET", "/rules", "/rules?space=team&name=more-workers", {}, 200],
  ["POST", "/rule-plan", "/rule-plan", json({ name: "more-workers", value: -2.5 }), 200],
  ["POST", "/rule-plan", "/rule-plan", json({ name: "more-workers", value: "many" }), 400],
  ["GET", "/service-plan", "/service-plan?name=wiki", {}, 200],
  ["GET", "/services/{name}", "/services/wiki?space=ops", {}, 200],
  ["GET", "/services/{name}/output", "/services/wiki/output?space=ops", {}, 200],
  ["POST", "/services/{name}/move", "/services/wiki/move?space=ops", json({}), 200],
  ["POST", "/services/{name}/restart", "/services/wiki/restart?space=ops", json({}), 200],
  ["PUT", "/blobs/{sha256}", `/blobs/${TEST_HASH}?space=fleet`, { body: "test" }, 200],
  ["POST", "/services/{name}/deploy", "/services/wiki/deploy", json({ artifact: TEST_HASH, within: 60 }), 200],
  ["POST", "/services/{name}/deploy", "/services/wiki/deploy", json({ artifact: "none" }), 400],
  ["POST", "/services/{name}/rollback", "/services/wiki/rollback", {}, 200],
  ["POST", "/services/{name}/rollback", "/services/none/rollback", {}, 404],
];
