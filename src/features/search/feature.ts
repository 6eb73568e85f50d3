// The manifest of searches: an index of what the other features say can be searched.

import { logFor } from "../../observe/logging.ts";
import type { Feature } from "../../operation/feature.ts";
import { LOG, NODE } from "../../operation/node-parts.ts";
import { SEARCH_SOURCES } from "../../operation/search-source.ts";
import { DiskGauge } from "../../store/disk.ts";
import { searchCommands } from "./commands.ts";
import { searchConditions } from "./conditions.ts";
import { searchModel } from "./model-operation.ts";
import { openMeaning } from "./open-meaning.ts";
import style from "./pages/search.css" with { type: "text" };
import { searchPage } from "./pages/search-page.tsx";
import { searchRoutes } from "./rest.ts";
import { MEANING, SEARCH_INDEX, searchOperation } from "./search.ts";
import { SearchIndex } from "./search-index.ts";
import { searchSettingTable } from "./settings.ts";

/** The manifest. The index is no part of the store: it has no tables. */
export const searchFeature: Feature = {
  name: "search",
  settings: searchSettingTable,
  conditions: searchConditions,
  open: (node) => {
    const { settings, store } = node.get(NODE);
    const disk = new DiskGauge(settings.data);
    const index = new SearchIndex({
      data: settings.data,
      store,
      log: () => node.get(LOG),
      sources: node.get(SEARCH_SOURCES),
      disk,
      onError: (message) => logFor("store")("warning", message),
    });
    node.provide(SEARCH_INDEX, index).provide(MEANING, openMeaning(node, index, disk));
  },
  operations: (node) => [searchOperation(node), searchModel(node)],
  instructions: { tools: [{ operation: "search", verb: "read", use: "find all of it" }] },
  rest: searchRoutes,
  commands: searchCommands,
  pages: [searchPage],
  style,
  // The vectors are in the index: they end first.
  jobs: (node) => [node.get(MEANING), node.get(SEARCH_INDEX)],
};
