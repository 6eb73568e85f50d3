// What Argo Events dispatches: the attributes of a CloudEvent in `context`, its data beside.

import { isObject } from "../../../lib/json-object.ts";

/** Returns the event of such an object in the JSON format of CloudEvents; undefined for any other one. */
export function argoEvent(body: Readonly<Record<string, unknown>>): Record<string, unknown> | undefined {
  const { context, data, ...others } = body;
  if (!isObject(context) || Object.keys(others).length > 0) return undefined;
  const { specversion = null, subject, ...attributes } = context;
  // Argo writes an empty subject where there is none.
  return { ...attributes, ...(subject === "" ? {} : { subject }), specversion, data };
}
