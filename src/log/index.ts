// The log's schema, for the list of migrations.

import agent from "./agent.sql" with { type: "text" };
import client from "./client.sql" with { type: "text" };
import outcomes from "./outcomes.sql" with { type: "text" };
import schema from "./schema.sql" with { type: "text" };
import stateHash from "./state-hash.sql" with { type: "text" };

/** SQL of the tables of log/. */
export const logSchema: string = schema;

/** SQL that adds the state hash to change rows. */
export const stateHashSchema: string = stateHash;

/** SQL that adds to change rows what the client said of itself. */
export const clientSchema: string = client;

/** SQL that counts kept outcomes by caller. */
export const outcomesSchema: string = outcomes;

/** SQL that adds to change rows the agent as which the caller acted. */
export const agentSchema: string = agent;
