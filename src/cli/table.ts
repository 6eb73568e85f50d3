// The table of all commands; program.ts builds the command line and its help from it. Commands are named like the
// operations they run; `ls`, `rm` and `log` are aliases.

import { FEATURES } from "../features/index.ts";
import type { Feature } from "../operation/feature.ts";
import { accessExplain } from "./access.ts";
import { agentsRegister } from "./agents.ts";
import { audit } from "./audit.ts";
import { backup, backupKey, restore } from "./backup.ts";
import { blobGetCommand } from "./blob/get.ts";
import { blobPutCommand } from "./blob/put.ts";
import { bridge } from "./bridge.ts";
import { call } from "./call.ts";
import type { Command } from "./command.ts";
import { completionCommand } from "./completion/completion.ts";
import { configExample, configShow, configValidate } from "./config.ts";
import { contextEdit } from "./context/edit.ts";
import { contextGrep } from "./context/grep.ts";
import { contextDiff, contextGet, contextHistory, contextList, contextMetadata } from "./context/read.ts";
import { contextWait, contextWatch } from "./context/watch.ts";
import { contextDelete, contextMany, contextPatch, contextPurge, contextPut, contextRestore } from "./context/write.ts";
import { applyCommand } from "./declare/apply.ts";
import { deployCommand } from "./deploy/deploy.ts";
import { doctor } from "./doctor/doctor.ts";
import { embed } from "./embed.ts";
import { eventsTail } from "./events/tail.ts";
import { exportContexts } from "./export/export.ts";
import { importContexts } from "./export/import.ts";
import { featureCommands } from "./feature-commands.ts";
import { join, ticket } from "./fleet/join.ts";
import { leave } from "./fleet/leave.ts";
import { membersApprove, membersList, membersRemove } from "./fleet/members.ts";
import { promote, transfer } from "./fleet/roles.ts";
import { fleetSettings } from "./fleet/settings.ts";
import { folderSync } from "./folder/sync.ts";
import { graphExport, graphImport } from "./graph/graph.ts";
import { guardCheck, guardInstall } from "./lease/guard.ts";
import { leaseRun } from "./lease/run.ts";
import { logLevel } from "./operate/log-level.ts";
import { reload } from "./operate/reload.ts";
import { paths } from "./paths.ts";
import { prime } from "./prime.ts";
import { recover } from "./recover.ts";
import { dev, serve } from "./serve.ts";
import { serviceInstall, serviceStatus, serviceUninstall } from "./service/service.ts";
import { setup } from "./setup.ts";
import { simulate } from "./simulate.ts";
import { status } from "./status.ts";
import { upgrade } from "./upgrade/upgrade.ts";
import { version } from "./version.ts";
import { wait } from "./wait/wait.ts";
import { whoami } from "./whoami.ts";

/**
 * Returns every command of a build with these features, in the order of the help: run a node, use it, ask about it,
 * keep its data.
 */
export function commandsOf(features: readonly Feature[]): Command[] {
  return [
    serve,
    dev,
    serviceInstall,
    serviceUninstall,
    serviceStatus,
    contextGet,
    contextPut,
    contextPatch,
    contextEdit,
    contextDelete,
    contextList,
    contextGrep,
    contextHistory,
    contextDiff,
    contextRestore,
    contextMetadata,
    contextWatch,
    contextWait,
    contextMany,
    contextPurge,
    call,
    bridge,
    simulate,
    prime,
    setup,
    ...[status, wait, reload, logLevel, upgrade],
    membersList,
    membersApprove,
    membersRemove,
    ticket,
    join,
    leave,
    promote,
    transfer,
    fleetSettings,
    doctor,
    whoami,
    accessExplain,
    audit,
    ...[folderSync, exportContexts, importContexts, graphImport, graphExport],
    backup,
    backupKey,
    ...[blobPutCommand, blobGetCommand, applyCommand, deployCommand],
    ...featureCommands(features),
    eventsTail,
    leaseRun,
    guardInstall,
    guardCheck,
    agentsRegister,
    restore,
    recover,
    configShow,
    configValidate,
    configExample,
    paths,
    embed,
    completionCommand(() => COMMANDS),
    version,
  ];
}

/** The commands of this build. */
export const COMMANDS: readonly Command[] = commandsOf(FEATURES);
