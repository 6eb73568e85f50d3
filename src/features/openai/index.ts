// OpenAI's contract of `search` and `fetch`.

export { openaiFeature } from "./feature.ts";
