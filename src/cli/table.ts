// Every command people type, in one table; program.ts makes the command line and its help of it. Words are the operations' words, `ls` and `rm` are aliases.

import { bridge } from "./bridge-command.ts";
import { call } from "./call.ts";
import type { Command } from "./command.ts";
import { contextDelete, contextGet, contextList, contextPut } from "./context.ts";
import { serve } from "./serve.ts";
import { status } from "./status.ts";
import { version } from "./version.ts";
import { whoami } from "./whoami.ts";

/** In the order of the help. */
export const COMMANDS: readonly Command[] = [
  serve,
  status,
  contextGet,
  contextPut,
  contextList,
  contextDelete,
  call,
  whoami,
  bridge,
  version,
];
