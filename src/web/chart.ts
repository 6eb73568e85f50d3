// The one script that a page may load beside the own one: uPlot with its license, and what draws a chart of a table. It
// is a file of this node that browsers keep; pages with a chart name it by its hash, in the tag and in their policy.

import { sha256Hex } from "../lib/sha256.ts";
import draw from "./chart.client.js" with { type: "text" };
import license from "./vendor/uplot/LICENSE" with { type: "text" };
import uplot from "./vendor/uplot/uPlot.iife.min.js" with { type: "text" };

/** Its text. */
export const CHART_SCRIPT = `/*! uPlot\n${license}\n*/\n${uplot}\n${draw}`;
const HASH = sha256Hex(CHART_SCRIPT);
/** Its path, another one for every other text. */
export const CHART_PATH = `/ui/chart-${HASH.slice(0, 16)}.js`;
/** Its hash, as a browser compares it. */
export const CHART_INTEGRITY = `sha256-${Buffer.from(HASH, "hex").toString("base64")}`;
