// How declarations name a secret; apart from what reads it, because apply code reaches this file.

/** A reference to a secret. */
export const SECRET_REFERENCE = /^secret:([A-Z][A-Z0-9_]{0,63})$/;
/** What the variables of such secrets begin with. */
export const SECRET_VARIABLE = "CAIRN_SECRET_";
