// The names of the shapes in which a target of kind `http` gets events.

/** What they are: shapes.ts. */
export const SHAPES = ["cloudevents", "binary", "tas", "data"] as const;
