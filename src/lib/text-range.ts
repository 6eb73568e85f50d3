// A range of lines or characters as text, for the operations that read parts and the commands that ask for them.

/** `FROM-TO`, `FROM-` to the end, or one number; both ends count from 1 and are included. */
export const RANGE = /^([1-9][0-9]{0,8})(?:-([1-9][0-9]{0,8})?)?$/;
