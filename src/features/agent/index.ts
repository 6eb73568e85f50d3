// What other folders may use of agents: the manifest, and the rule of who may read a row.

export { agentFeature } from "./feature.ts";
export {
  type Author,
  framedRecipients,
  mayRead,
  recipientOf,
  recipientsOf,
  VISIBILITIES,
  type Visibility,
  type VisibleColumns,
  type VisibleRow,
  type VisibleSql,
  visibilityOf,
  visibleSql,
} from "./visibility.ts";
