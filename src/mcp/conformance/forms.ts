// Forms that the conformance fixtures ask users to fill in.

import { type InputRequest, inputRequired } from "@modelcontextprotocol/server";

type Properties = Extract<
  Parameters<typeof inputRequired.elicit>[0]["requestedSchema"],
  { properties: unknown }
>["properties"];

/** A form of these fields. */
export function form(message: string, properties: Properties, required: string[] = []): InputRequest {
  return inputRequired.elicit({ message, requestedSchema: { type: "object", properties, required } });
}

/** A default for each primitive type. */
export const PRIMITIVE_FORM = form("Please review the defaults", {
  name: { type: "string", default: "John Doe" },
  age: { type: "integer", default: 30 },
  score: { type: "number", default: 95.5 },
  status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
  verified: { type: "boolean", default: true },
});

const THREE = ["option1", "option2", "option3"];

/** Each way to write a choice. */
export const ENUM_FORM = form("Please choose", {
  untitledSingle: { type: "string", enum: THREE },
  titledSingle: {
    type: "string",
    oneOf: [
      { const: "value1", title: "First Option" },
      { const: "value2", title: "Second Option" },
      { const: "value3", title: "Third Option" },
    ],
  },
  legacyEnum: {
    type: "string",
    enum: ["opt1", "opt2", "opt3"],
    enumNames: ["Option One", "Option Two", "Option Three"],
  },
  untitledMulti: { type: "array", items: { type: "string", enum: THREE } },
  titledMulti: {
    type: "array",
    items: {
      anyOf: [
        { const: "value1", title: "First Choice" },
        { const: "value2", title: "Second Choice" },
        { const: "value3", title: "Third Choice" },
      ],
    },
  },
});
