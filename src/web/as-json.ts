// Whether a request for a page wants JSON. The JSON of a page is what it asked: the outputs of its operations, or their
// Faults, with the caller's rights as on the page.

/** The parameter by which an address says it. Other values of it are the page's own. */
const PARAMETER = "format";
const VALUE = "json";
/** Parts of an Accept header that are read. */
const MAX_TYPES = 32;

/** Reports whether the response is to be JSON: by `?format=json`, or because the client accepts that more than HTML. */
export function wantsJson(request: Request, url: URL): boolean {
  if (url.searchParams.get(PARAMETER) === VALUE) return true;
  const accept = request.headers.get("accept");
  return accept !== null && isPreferred(weightOf(accept, "application", "json"), weightOf(accept, "text", "html"));
}

/** Returns the parameters that are the page's. */
export function pageParameters(url: URL): URLSearchParams {
  const parameters = new URLSearchParams(url.searchParams);
  if (parameters.get(PARAMETER) === VALUE) parameters.delete(PARAMETER);
  return parameters;
}

/** Returns the address at which the page is JSON. */
export function jsonAddress(url: URL): string {
  const parameters = new URLSearchParams(url.searchParams);
  parameters.set(PARAMETER, VALUE);
  return `${url.pathname}?${parameters}`;
}

interface Weight {
  quality: number;
  /** 2: the type itself, 1: its kind, 0: any. */
  precision: number;
}

function isPreferred(one: Weight, other: Weight): boolean {
  if (one.quality === 0) return false;
  return one.quality === other.quality ? one.precision > other.precision : one.quality > other.quality;
}

/** Returns how much a client accepts a type: by the part of the header that names it best (RFC 9110 12.5.1). */
function weightOf(accept: string, kind: string, subtype: string): Weight {
  const names = [`${kind}/${subtype}`, `${kind}/*`, "*/*"];
  let found: Weight = { quality: 0, precision: -1 };
  for (const part of accept.toLowerCase().split(",", MAX_TYPES)) {
    const [name = "", ...parameters] = part.split(";").map((text) => text.trim());
    const precision = names.indexOf(name) < 0 ? -1 : 2 - names.indexOf(name);
    if (precision <= found.precision) continue;
    const said = Number(parameters.find((text) => text.startsWith("q="))?.slice(2) ?? 1);
    found = { quality: Number.isFinite(said) ? said : 0, precision };
  }
  return found;
}
