// Conformance fixtures that ask the client: elicitation, sampling and roots. One text serves all revisions: the modern
// client answers a result that needs input, and older sessions get requests from this server. State that a client
// carries back is signed and bound to caller and tool.

import {
  acceptedContent,
  type CallToolResult,
  CLIENT_CAPABILITIES_META_KEY,
  createRequestStateCodec,
  type GetPromptResult,
  type InputRequest,
  type InputRequiredResult,
  inputRequired,
  inputResponse,
  ProtocolError,
  ProtocolErrorCode,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { z } from "zod";
import { say, user } from "./content.ts";
import { ENUM_FORM, form, PRIMITIVE_FORM } from "./forms.ts";

type Outcome = CallToolResult | InputRequiredResult;

/** One call of a fixture. */
export interface Asking {
  tool: string;
  input: Record<string, unknown>;
  context: ServerContext;
  /** The owner of the carried state; state of another owner is refused. */
  owner: string;
}

interface State {
  tool: string;
  owner: string;
  step: number;
}

const codec = createRequestStateCodec<State>({ key: crypto.getRandomValues(new Uint8Array(32)) });

/** Checks the signature and age of carried state before any handler runs. */
export const verifyState = codec.verify;

const name = z.object({ name: z.string() });
const ok = z.object({ ok: z.boolean() });
const declared = z.looseObject({ elicitation: z.unknown(), sampling: z.unknown(), roots: z.unknown() }).partial();

export const ASKING_TOOLS: Record<
  string,
  { description: string; run: (asking: Asking) => Promise<Outcome> | Outcome }
> = {
  test_sampling: {
    description: "Asks the client's model.",
    run: ({ input, context }) => {
      const answer = inputResponse(context.mcpReq.inputResponses, "answer");
      if (answer.kind !== "sampling") return ask({ answer: sample(String(input["prompt"] ?? ""), 100) });
      return say(`LLM response: ${JSON.stringify(answer.result.content)}`);
    },
  },
  test_elicitation: {
    description: "Asks the user for a name and a mail address.",
    run: ({ input, context }) => {
      const answer = inputResponse(context.mcpReq.inputResponses, "answer");
      if (answer.kind === "elicit") return say(`User response: ${JSON.stringify(answer)}`);
      const properties = {
        username: { type: "string", description: "User's response" },
        email: { type: "string", description: "User's email address" },
      } as const;
      return ask({ answer: form(String(input["message"] ?? ""), properties, ["username", "email"]) });
    },
  },
  test_elicitation_sep1034_defaults: asksForm("Asks with default values.", PRIMITIVE_FORM),
  test_elicitation_sep1330_enums: asksForm("Asks with each kind of choice.", ENUM_FORM),
  test_missing_capability: {
    description: "Needs a client that samples.",
    run: ({ context }) => {
      const answer = inputResponse(context.mcpReq.inputResponses, "answer");
      return answer.kind === "sampling" ? say("The client can sample.") : ask({ answer: sample("Are you there?", 10) });
    },
  },
  test_streaming_elicitation: {
    description: "Tells its progress, then asks the user.",
    run: async ({ context }) => {
      if (acceptedContent(context.mcpReq.inputResponses, "user_name", name) !== undefined) return say("Thank you.");
      const progressToken = context.mcpReq._meta?.progressToken;
      if (progressToken !== undefined) {
        await context.mcpReq.notify({
          method: "notifications/progress",
          params: { progressToken, progress: 1, total: 2 },
        });
      }
      return ask({ user_name: askName("What is your name?") });
    },
  },
  test_input_required_result_elicitation: {
    description: "Asks for a name, then greets.",
    run: ({ context }) => {
      const given = acceptedContent(context.mcpReq.inputResponses, "user_name", name);
      return given === undefined ? ask({ user_name: askName("What is your name?") }) : say(`Hello, ${given.name}!`);
    },
  },
  test_input_required_result_sampling: {
    description: "Asks the client's model for a capital.",
    run: ({ context }) => {
      const answer = inputResponse(context.mcpReq.inputResponses, "capital_question");
      if (answer.kind !== "sampling") return ask({ capital_question: sample("What is the capital of France?", 100) });
      return say(JSON.stringify(answer.result.content));
    },
  },
  test_input_required_result_list_roots: {
    description: "Asks for the client's roots.",
    run: ({ context }) => {
      const answer = inputResponse(context.mcpReq.inputResponses, "client_roots");
      if (answer.kind !== "roots") return ask({ client_roots: inputRequired.listRoots() });
      return say(`Roots: ${answer.roots.map((root) => root.uri).join(", ")}`);
    },
  },
  test_input_required_result_request_state: confirms("state-ok"),
  test_input_required_result_tampered_state: confirms("The state came back unchanged."),
  test_input_required_result_multiple_inputs: {
    description: "Asks user, model and client at once.",
    run: async (asking) => {
      const { inputResponses } = asking.context.mcpReq;
      const given = acceptedContent(inputResponses, "user_name", name);
      const greeting = inputResponse(inputResponses, "greeting");
      const roots = inputResponse(inputResponses, "client_roots");
      if (
        stateOf(asking) !== undefined &&
        given !== undefined &&
        greeting.kind === "sampling" &&
        roots.kind === "roots"
      ) {
        return say(`${given.name}, ${JSON.stringify(greeting.result.content)}, ${roots.roots.length} roots`);
      }
      const requests = {
        user_name: askName("What is your name?"),
        greeting: sample("Generate a greeting", 50),
        client_roots: inputRequired.listRoots(),
      };
      return ask(requests, await seal(asking, 1));
    },
  },
  test_input_required_result_multi_round: {
    description: "Asks twice, one answer after the other.",
    run: async (asking) => {
      const { inputResponses } = asking.context.mcpReq;
      const step = stateOf(asking)?.step ?? 0;
      const color = acceptedContent(inputResponses, "step2", z.object({ color: z.string() }));
      if (step === 2 && color !== undefined) return say(`Done, in ${color.color}.`);
      if (step >= 1 && (step === 2 || acceptedContent(inputResponses, "step1", name) !== undefined)) {
        const step2 = form("Step 2: What is your favorite color?", { color: { type: "string" } }, ["color"]);
        return ask({ step2 }, await seal(asking, 2));
      }
      return ask({ step1: askName("Step 1: What is your name?") }, await seal(asking, 1));
    },
  },
  test_input_required_result_capabilities: {
    description: "Asks only in ways that the client declared.",
    run: ({ context }) => {
      const { inputResponses, envelope } = context.mcpReq;
      if (inputResponses !== undefined && Object.keys(inputResponses).length > 0) return say("Thank you.");
      const able = declared.parse(
        Object.entries(envelope ?? {}).find(([key]) => key === CLIENT_CAPABILITIES_META_KEY)?.[1] ?? {},
      );
      const requests: Record<string, InputRequest> = {};
      if (able?.elicitation !== undefined) requests["user_name"] = askName("What is your name?");
      if (able?.sampling !== undefined) requests["greeting"] = sample("Generate a greeting", 50);
      if (able?.roots !== undefined) requests["client_roots"] = inputRequired.listRoots();
      return Object.keys(requests).length === 0 ? say("The client can be asked nothing.") : ask(requests);
    },
  },
};

/** The prompt that asks first. */
export function askingPrompt(context: ServerContext): GetPromptResult | InputRequiredResult {
  const given = acceptedContent(context.mcpReq.inputResponses, "user_context", z.object({ context: z.string() }));
  if (given !== undefined) return { messages: [user(`Use this context: ${given.context}`)] };
  const request = form("What context should the prompt use?", { context: { type: "string" } }, ["context"]);
  return ask({ user_context: request });
}

function asksForm(description: string, request: InputRequest) {
  return {
    description,
    run: ({ context }: Asking): Outcome => {
      const answer = inputResponse(context.mcpReq.inputResponses, "answer");
      if (answer.kind !== "elicit") return ask({ answer: request });
      return say(`Elicitation completed: action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`);
    },
  };
}

/** A tool that asks for a confirmation and insists on its own state coming back. */
function confirms(done: string) {
  return {
    description: "Asks for a confirmation and carries signed state.",
    run: async (asking: Asking): Promise<Outcome> => {
      const given = acceptedContent(asking.context.mcpReq.inputResponses, "confirm", ok);
      if (given !== undefined && stateOf(asking) !== undefined) return say(done);
      return ask({ confirm: form("Please confirm", { ok: { type: "boolean" } }, ["ok"]) }, await seal(asking, 1));
    },
  };
}

function ask(inputRequests: Record<string, InputRequest>, requestState?: string): InputRequiredResult {
  return inputRequired({ inputRequests, ...(requestState === undefined ? {} : { requestState }) });
}

function askName(message: string): InputRequest {
  return form(message, { name: { type: "string" } }, ["name"]);
}

function sample(text: string, maxTokens: number): InputRequest {
  return inputRequired.createMessage({ messages: [{ role: "user", content: { type: "text", text } }], maxTokens });
}

function seal({ tool, owner }: Asking, step: number): Promise<string> {
  return codec.mint({ tool, owner, step });
}

function stateOf({ tool, owner, context }: Asking): State | undefined {
  const state = context.mcpReq.requestState<State>();
  if (state !== undefined && (state.tool !== tool || state.owner !== owner)) {
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, "requestState was made for another call");
  }
  return state;
}
