// Formats of texts among the settings, so that a mistyped value is refused at the start, with the name of its setting.

import { FOUND_LABELS, LABEL } from "../lib/machine-label.ts";
import { SECRET_REFERENCE } from "./secret-reference.ts";

/** A test of one text, and a description for the message of a refusal. */
export interface Shape {
  wanted: string;
  fits: (text: string) => boolean;
  /** What a refusal shows of a text that may have a secret in the wrong place. Default: all. */
  shown?: (text: string) => string;
}

/** URL of an S3-compatible service; the bucket is a separate setting. */
export const endpointShape: Shape = {
  wanted: "an https or http URL with a host and no path, such as https://s3.eu-central-1.amazonaws.com",
  fits: (text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    return url !== undefined && /^https?:$/.test(url.protocol) && url.hostname !== "" && url.origin === text;
  },
};

/** URL of a service that speaks the HTTP interface of OpenAI, without user and password, because settings are shown. */
export const modelUrlShape: Shape = {
  wanted: "an https or http URL with a host and a path, without ? and a final /, such as https://api.openai.com/v1",
  fits: (text) => {
    const url = /^https?:\/\/[^@?#\s]+[^@?#\s/]$/.test(text) && URL.canParse(text) ? new URL(text) : undefined;
    return url !== undefined && url.hostname !== "";
  },
};

/** Base address of a collector, or that of its traces. Without user and password, because settings are shown. */
export const traceUrlShape: Shape = {
  wanted: "an https or http URL with a host, without user, password and ?, such as https://otel.example.com:4318",
  fits: (text) => {
    const url = /^https?:\/\/[^@?#\s]+$/.test(text) && URL.canParse(text) ? new URL(text) : undefined;
    return url !== undefined && url.hostname !== "";
  },
  shown: (text) => text.replace(/\?.*$/s, "?…"),
};

/** Headers that a node sets itself in each request to a collector, or that belong to its connection. */
const OWN_HEADERS =
  /^(?:content-.*|accept-encoding|transfer-encoding|host|connection|upgrade|te|trailer|expect|cairn-internal-.*)$/i;
/** Its name, the scheme of an authorization where it has one, and the secret. */
const SECRET_HEADER = /^([A-Za-z][A-Za-z0-9-]{0,63})=([A-Za-z][A-Za-z0-9-]{0,31} )?(secret:[A-Z][A-Z0-9_]{0,63})$/;

/** A header whose value is a secret of this node, or a word and a secret. */
export const secretHeaderShape: Shape = {
  wanted:
    "a list of HEADER=secret:NAME with names of secrets of A-Z, 0-9 and _, such as authorization=Bearer secret:OTLP",
  fits: (text) => {
    const header = secretHeader(text);
    return header !== undefined && !OWN_HEADERS.test(header.name);
  },
  shown: (text) => (text.includes("=") ? text.replace(/=.*$/s, "=…") : "…"),
};

/** Returns the parts of such a header; `scheme` is "" or a word with a blank. */
export function secretHeader(text: string): { name: string; scheme: string; secret: string } | undefined {
  const [, name, scheme = "", secret] = SECRET_HEADER.exec(text) ?? [];
  return name === undefined || secret === undefined ? undefined : { name: name.toLowerCase(), scheme, secret };
}

/** A name under which traces show a node. */
export const serviceShape: Shape = {
  wanted: "1 to 128 printable characters",
  fits: (text) => /^[!-~](?:[ -~]{0,126}[!-~])?$/.test(text),
};

/** Name of a model, as its service has it. */
export const modelNameShape: Shape = {
  wanted: "the name of a model: 1 to 200 printable characters without blanks",
  fits: (text) => /^[!-~]{1,200}$/.test(text),
};

/** Types of events by name or beginning; the fleet may get more types with a later build. */
export const ownEventShape: Shape = {
  wanted: "a type of events such as cairn.lease.changed, a beginning of one such as cairn.lease.*, or *",
  fits: (text) => text === "*" || /^cairn\.(?:\*|[a-z]+\.(?:\*|[a-z]+))$/.test(text),
};

/** Name of an S3 bucket. */
export const bucketShape: Shape = {
  wanted: "the name of a bucket: 3 to 63 of a-z, 0-9, . and -",
  fits: (text) => /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(text),
};

/** Prefix of object names in the bucket. */
export const prefixShape: Shape = {
  wanted: "words of A-Z, a-z, 0-9, ., _ and -, with / between them, at most 200 characters",
  fits: (text) => text.length <= 200 && /^(?!\.{1,2}(\/|$))[\w.-]+(\/(?!\.{1,2}(\/|$))[\w.-]+)*$/.test(text),
};

/** Region of an S3-compatible service. */
export const regionShape: Shape = {
  wanted: "the name of a region such as eu-central-1",
  fits: (text) => /^[a-z0-9-]{1,64}$/.test(text),
};

/** How many daily, weekly and monthly backups are kept. */
export const keepShape: Shape = {
  wanted: "numbers of days, weeks and months such as 7d,4w,6m",
  fits: (text) => /^\d{1,3}[dwm](,\d{1,3}[dwm]){0,2}$/.test(text),
};

/** A destination outside the tailnet. Refuses only what can never be valid; the Go half decides when it dials. */
export const outboundShape: Shape = {
  wanted: "a list of hosts, addresses or networks, with or without ports, such as minio.lan:9000 or 10.0.0.0/8:443",
  fits: (text) =>
    /^([a-z0-9_]([a-z0-9._-]*[a-z0-9_])?|\d{1,3}(\.\d{1,3}){3}\/\d{1,2}|\[[0-9a-f:.]+(\/\d{1,3})?\])(:[0-9]{1,5})?$/i.test(
      text,
    ),
};

/** Addresses for events. Without user and password, because settings are shown. */
export const forwardShape: Shape = {
  wanted: "a list of https or http URLs without user and password, such as https://ci.example.com/events",
  fits: (text) => {
    const url = /^https?:\/\//i.test(text) && URL.canParse(text) ? new URL(text) : undefined;
    return url !== undefined && url.username === "" && url.password === "" && url.hash === "";
  },
};

/** URL of a proxy. Without user and password, because arguments and settings are shown; TLS to it is not supported. */
export const proxyShape: Shape = {
  wanted: "an http URL with host and port, without user, password and path, such as http://proxy.lan:3128",
  fits: (text) => {
    const url = /^http:\/\/[^/@?#]+:[0-9]{1,5}$/.test(text) && URL.canParse(text) ? new URL(text) : undefined;
    return url !== undefined && url.hostname !== "";
  },
};

/** A space (the part of a context id before its first /) or a glob of spaces. */
export const spaceGlobShape: Shape = {
  wanted: "a list of spaces or globs of spaces such as team-a or docs-*, without /",
  fits: (text) => /^[A-Za-z0-9._~:@*-]{1,256}$/.test(text),
};

/** One label of a DNS name, as control servers accept it. */
export const hostnameShape: Shape = {
  wanted: "1 to 63 of a-z, 0-9 and - (not first or last)",
  fits: (text) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text),
};

/** Name of a fleet. Nodes compare it exactly, and people see it. */
export const fleetNameShape: Shape = {
  wanted: "1 to 63 of a-z, A-Z, 0-9, . _ and - (not first or last)",
  fits: (text) => /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(text),
};

/** URL of a control server. Without user and password, because logs, conditions and `status` show it. */
export const controlUrlShape: Shape = {
  wanted: "an http or https URL without user name and password",
  fits: (text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    return url !== undefined && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
  },
};

/** A login as the tailnet has it. Tags are no users, and nothing is matched as a pattern. */
export const loginShape: Shape = {
  wanted: "a list of logins such as ann@example.com, without tags and patterns",
  fits: (text) => /^[^\s*:]{1,256}$/.test(text),
};

/** A Tailscale tag. */
export const tagShape: Shape = {
  wanted: "a list of tags such as tag:cairn",
  fits: (text) => /^tag:[A-Za-z][A-Za-z0-9-]*$/.test(text),
};

/** Name of an application capability in a tailnet policy: a domain and a path, without a scheme. */
export const capabilityShape: Shape = {
  wanted: "a domain and a path such as cairn.internal/cap/cairn",
  fits: (text) => /^[a-z0-9-]+(\.[a-z0-9-]+)+(\/[A-Za-z0-9._-]+)+$/.test(text),
};

/** Schemes of which browsers send no origin, or that of http. */
const NO_ORIGINS = new Set(["about", "blob", "data", "file", "ftp", "javascript", "ws", "wss"]);

/**
 * An origin as browsers send it, since anything else would never match. `null` is refused, because every sandboxed page
 * has that origin (security.md 13).
 */
export const originShape: Shape = {
  wanted: "a list of origins as browsers send them, such as https://tools.example.com, without patterns",
  fits: (text) => {
    const name = /^([a-z][a-z0-9+.-]*):\/\/([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]+)?$/.exec(text);
    if (name === null || NO_ORIGINS.has(name[1] ?? "")) return false;
    return /^https?$/.test(name[1] ?? "") ? URL.canParse(text) && new URL(text).origin === text : name[3] === undefined;
  },
};

/** A host name or address, with a port if it differs from the listener's. */
export const hostShape: Shape = {
  wanted: "a list of host names, such as cairn.example.com or cairn.example.com:8080",
  fits: (text) => {
    const port = /^(?:[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$/i.exec(text);
    return port !== null && Number(port[1] ?? 1) >= 1 && Number(port[1] ?? 1) <= 65_535;
  },
};

/** Address of a server of NATS, without user and password, because settings are shown. */
export const natsShape: Shape = {
  wanted: "none, or nats://HOST:PORT or tls://HOST:PORT without user and password, such as nats://nats.lan:4222",
  fits: (text) => text === "none" || natsAddress(text) !== undefined,
};

/** Returns where a server of NATS is; undefined: the text is no such address. `needsTls`: it must have TLS. */
export function natsAddress(text: string): { host: string; port: number; needsTls: boolean } | undefined {
  const [, scheme, host = "", digits = "4222"] =
    /^(nats|tls):\/\/([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$/i.exec(text) ?? [];
  const port = Number(digits);
  if (scheme === undefined || port < 1 || port > 65_535) return undefined;
  return { host: host.replace(/^\[|\]$/g, ""), port, needsTls: scheme.toLowerCase() === "tls" };
}

/** Name of a secret that each node has for itself. */
export const secretShape: Shape = {
  wanted: "none, or secret:NAME with a name of A-Z, 0-9 and _, such as secret:NATS",
  fits: (text) => text === "none" || SECRET_REFERENCE.test(text),
};

/** A label of a machine that cannot be found by itself. */
export const labelShape: Shape = {
  wanted: `a list of labels of a-z, 0-9 and . _ - such as always-on, without those that are found: ${[...FOUND_LABELS].join(", ")}`,
  fits: (text) => LABEL.test(text) && !FOUND_LABELS.has(text),
};
