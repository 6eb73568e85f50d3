// cairn embed: runs the model for searches by meaning. A node starts it and ends it; it is of no use to people.

import { serveModel } from "../features/search/index.ts";
import type { Command } from "./command.ts";

/** Makes vectors of texts that come on stdin, one request a line, until that ends. */
export const embed: Command = {
  words: ["embed"],
  summary: "make vectors of texts for a node, which starts this by itself",
  args: [{ name: "FILE", help: "the installed model", offers: "files" }],
  async run({ args: [file = ""] }) {
    await serveModel(file, process.stdin, (response) => void process.stdout.write(`${JSON.stringify(response)}\n`));
    return 0;
  },
};
