// The pages of things that operations and events name by a target, such as SPACE/services/NAME.

/** Returns the address of a service. */
export function serviceAddress({ space, name }: { space: string; name: string }): string {
  return `/ui/services/${encodeURIComponent(space)}/${encodeURIComponent(name)}`;
}
