// The only place that opens HTTP connections. They go straight to their address: HTTP_PROXY and its like in the
// environment belong to other programs, and a proxy would get contexts, internal secrets, and hosts it cannot reach.

/** Like `fetch`, without a proxy whatever the environment says. */
export function directFetch(url: string, init: BunFetchRequestInit): Promise<Response> {
  return fetch(url, { ...init, proxy: false });
}
