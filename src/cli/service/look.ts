// What `cairn service install` looks at before it writes anything: whether the account of a system unit can reach all
// that the unit names, inside its sandbox, and whether its data folder can become that account's. Changes nothing.

import { existsSync, lstatSync, readdirSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { SYSTEM_DATA } from "../../config/paths.ts";
import { type Account, findAccount, nameOfUid } from "../../lib/accounts.ts";
import { Fault } from "../../lib/fault.ts";
import { lockHolder } from "../../store/lock.ts";
import { ownCommand } from "../own-command.ts";
import type { Service } from "./manager.ts";

/** Folders that the sandbox of a system unit replaces by empty ones of its own (systemd.ts). */
const HIDDEN: readonly string[] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp", "/dev"];

const READ = 4;
const ENTER = 1;

/** What may be in a data folder that no node has used yet. */
const BEFORE_FIRST_USE = new Set(["cairn.toml", "lost+found"]);

/** Throws Fault `invalid_input` or `forbidden` where a service would not start, or would take what is not its own. */
export function lookFirst(service: Service, dataDir: string | undefined): void {
  const { account: name } = service;
  if (name === undefined) return;
  if (process.getuid?.() !== 0)
    throw new Fault("forbidden", "A service of the system can be installed by root only", {
      hint: "Run it with sudo, or install your own with --user.",
    });
  const account = findAccount(name);
  for (const [index, word] of ownCommand().entries())
    refuseUnreachable(account, name, {
      path: word,
      what: index === 0 ? "the executable" : "the program",
      needs: READ | (ENTER * Number(index === 0)),
      hint: "Copy the executable to /usr/local/bin and install from there, or install your own service with --user.",
    });
  for (const { setting, path, isFile } of service.paths)
    refuseUnreachable(account, name, {
      path,
      what: setting,
      needs: isFile ? READ : 0,
      hint: isFile
        ? `Put it into /etc/cairn with chgrp ${name} and chmod 640, or install your own service with --user.`
        : "Name a folder elsewhere, such as below /srv or /mnt, or install your own service with --user.",
    });
  refuseOthersData(dataDir ?? SYSTEM_DATA, account, { isDefault: dataDir === undefined });
}

interface Reached {
  path: string;
  what: string;
  /** Permission bits that the account needs on it, if it exists. */
  needs: number;
  hint: string;
}

function refuseUnreachable(account: Account | undefined, name: string, { path, what, needs, hint }: Reached): void {
  const real = realOf(path);
  const hidden = HIDDEN.find((folder) => real === folder || real.startsWith(`${folder}/`));
  if (hidden !== undefined)
    throw new Fault("invalid_input", `A system service cannot see ${what} ${path}: its sandbox hides ${hidden}`, {
      hint,
    });
  const closed = closedPart(account, real, needs);
  if (closed === undefined) return;
  throw new Fault("invalid_input", `The account ${name} cannot reach ${what} ${path}: ${closed} is closed to it`, {
    hint,
  });
}

/** As the kernel allows. */
const MAX_LINKS = 40;

/** Returns the path without symbolic links, those that lead nowhere yet included. */
function realOf(path: string, links = 0): string {
  if (existsSync(path)) return realpathSync(path);
  if (path === dirname(path)) return path;
  const link = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true && links < MAX_LINKS;
  if (link) return realOf(resolve(dirname(path), readlinkSync(path)), links + 1);
  return join(realOf(dirname(path), links), basename(path));
}

/** Returns the first part of an existing path that the account may not pass, or the path where it lacks `needs`. */
function closedPart(account: Account | undefined, path: string, needs: number): string | undefined {
  const parent = dirname(path);
  const above = parent === path ? undefined : closedPart(account, parent, ENTER);
  if (above !== undefined) return above;
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  const shift = found.uid === account?.uid ? 6 : account?.gids.includes(found.gid) === true ? 3 : 0;
  return ((found.mode >> shift) & needs) === needs ? undefined : path;
}

/** Throws where the folder is in use, or holds the data of another account. */
function refuseOthersData(folder: string, account: Account | undefined, { isDefault }: { isDefault: boolean }): void {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found === undefined || found.uid === account?.uid) return;
  const owner = nameOfUid(found.uid);
  const { held, pid } = lockHolder(folder);
  if (held)
    throw new Fault("data_locked", `A node of ${owner} runs with the data folder ${folder}`, {
      hint: `Stop it first${pid === undefined ? "" : ` (pid ${pid})`}, then install again.`,
    });
  // systemd gives a StateDirectory= to the account; another folder is given only while it is empty.
  if (isDefault || isUnused(folder)) return;
  throw new Fault("data_unsafe", `The data folder ${folder} holds the data of ${owner}`, {
    hint: "Name a new folder with --data and take the data along with cairn export and cairn import.",
  });
}

/** Reports whether no node has used the folder and it holds nothing else. */
export function isUnused(folder: string): boolean {
  return readdirSync(folder).every((name) => BEFORE_FIRST_USE.has(name));
}
