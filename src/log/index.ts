// The log's schema, for the list of migrations.

import schema from "./schema.sql" with { type: "text" };

export const logSchema: string = schema;
