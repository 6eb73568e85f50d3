// The type of an environment from which settings and secrets are read.

/** Environment variables, passed in so that tests can use their own. */
export type Environment = Readonly<Record<string, string | undefined>>;
