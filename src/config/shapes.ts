// What single texts among the settings must look like, so that a mistyped one is refused by its name at the start, not later or never.

/** A test of one text, and the words for a refusal. */
export interface Shape {
  wanted: string;
  fits: (text: string) => boolean;
}

/** An S3-compatible service. The bucket is a setting of its own. */
export const endpointShape: Shape = {
  wanted: "a URL of only https (or http) and a host, such as https://s3.eu-central-1.amazonaws.com",
  fits: (text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    return url !== undefined && /^https?:$/.test(url.protocol) && url.hostname !== "" && url.origin === text;
  },
};

/** Name of a bucket. */
export const bucketShape: Shape = {
  wanted: "the name of a bucket: 3 to 63 of a-z, 0-9, . and -",
  fits: (text) => /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(text),
};

/** Between the bucket and the names of backups. */
export const prefixShape: Shape = {
  wanted: "words of A-Z, a-z, 0-9, ., _ and -, with / between them, at most 200 characters",
  fits: (text) => text.length <= 200 && /^(?!\.{1,2}(\/|$))[\w.-]+(\/(?!\.{1,2}(\/|$))[\w.-]+)*$/.test(text),
};

/** Region of an S3-compatible service. */
export const regionShape: Shape = {
  wanted: "the name of a region such as eu-central-1",
  fits: (text) => /^[a-z0-9-]{1,64}$/.test(text),
};

/** How many of each are kept. */
export const keepShape: Shape = {
  wanted: "numbers of days, weeks and months such as 7d,4w,6m",
  fits: (text) => /^\d{1,3}[dwm](,\d{1,3}[dwm]){0,2}$/.test(text),
};

/** Judged by the Go half, which dials: here only what could never fit. */
export const outboundShape: Shape = {
  wanted:
    "a list of hosts, addresses or networks, each with a port if wanted, such as minio.lan:9000 or 10.0.0.0/8:443",
  fits: (text) =>
    /^([a-z0-9_]([a-z0-9._-]*[a-z0-9_])?|\d{1,3}(\.\d{1,3}){3}\/\d{1,2}|\[[0-9a-f:.]+(\/\d{1,3})?\])(:[0-9]{1,5})?$/i.test(
      text,
    ),
};

/** What stands before the first / of context ids. */
export const spaceGlobShape: Shape = {
  wanted: "a list of spaces or globs of spaces such as team-a or docs-*, without /",
  fits: (text) => /^[A-Za-z0-9._~:@*-]{1,256}$/.test(text),
};

/** One label of a DNS name, as control servers take it. */
export const hostnameShape: Shape = {
  wanted: "1 to 63 of a-z, 0-9 and - (not first or last)",
  fits: (text) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text),
};

/** Compared exactly between nodes, and shown to people. */
export const fleetNameShape: Shape = {
  wanted: "1 to 63 of a-z, A-Z, 0-9, . _ and - (not first or last)",
  fits: (text) => /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(text),
};

/** Without user and password: the URL stands in logs, conditions and `status`. */
export const controlUrlShape: Shape = {
  wanted: "an http or https URL without user name and password",
  fits: (text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    return url !== undefined && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
  },
};

export const tagShape: Shape = {
  wanted: "a list of tags such as tag:cairn",
  fits: (text) => /^tag:[A-Za-z][A-Za-z0-9-]*$/.test(text),
};

/** As grants of a tailnet policy name it: a domain and a path, without a scheme. */
export const capabilityShape: Shape = {
  wanted: "a domain and a path such as cairn.internal/cap/cairn",
  fits: (text) => /^[a-z0-9-]+(\.[a-z0-9-]+)+(\/[A-Za-z0-9._-]+)+$/.test(text),
};

/** As browsers write it: anything else would never match, and `null` is every sandboxed page there is (security.md 13). */
export const originShape: Shape = {
  wanted: "a list of origins as browsers send them, such as https://tools.example.com",
  fits: (text) => {
    if (/^https?:/.test(text)) return URL.canParse(text) && new URL(text).origin === text;
    return /^[a-z][a-z0-9+.-]*:\/\/[a-z0-9._-]+$/.test(text);
  },
};

/** A name or address, with a port where it is not the listener's own. */
export const hostShape: Shape = {
  wanted: "a list of host names, such as cairn.example.com or cairn.example.com:8080",
  fits: (text) => /^([a-z0-9_]([a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$/i.test(text),
};
