// docs/settings.md: every setting, variable and secret, and the flags of `cairn serve` and `cairn dev`.

import { commandsOf } from "../src/cli/table.ts";
import { SECRET_NAMES } from "../src/config/secrets.ts";
import { SEED_VARIABLES } from "../src/config/seed-variables.ts";
import { envOf, flagOf, helpOf, type SettingRow } from "../src/config/setting.ts";
import { settingRows } from "../src/config/settings.ts";
import { OTHER_VARIABLES } from "../src/config/variables.ts";
import { settingTablesOf } from "../src/operation/derive.ts";
import type { Feature } from "../src/operation/feature.ts";
import { code, table } from "./markdown.ts";
import { filesOf, generatedFrom } from "./page-sources.ts";

/** Returns the page. */
export function settingsPage(features: readonly Feature[]): string {
  const settings = settingRows(settingTablesOf(features));
  return [
    "# Settings",
    "",
    generatedFrom([
      "src/config/settings.ts",
      "src/config/variables.ts",
      "src/config/secrets.ts",
      "src/cli/serve.ts",
      ...filesOf(features, "settings"),
    ]),
    "",
    "Flags win over variables, variables over the file, the file over defaults.",
    'The file is `cairn.toml` in the data folder, or the one `--config` (`CAIRN_CONFIG`) names; `access.admins` is `admins` under `[access]` there. Beside `fleet` there can be no `[fleet]`: write `"fleet.run" = ["probe/*"]` at the top. Unknown keys are refused.',
    "",
    "`npm start` without a key takes no flags of settings: give them as variables. With a receiver of events and a collector of traces on this machine:",
    "",
    "```sh",
    "CAIRN_OUTBOUND_ALLOW=127.0.0.1 CAIRN_SECRET_HOOK=whsec_… CAIRN_TRACES_URL=http://127.0.0.1:4318 npm start",
    "FORWARD_TO=http://127.0.0.1:9000/api/v1/events CAIRN_OUTBOUND_ALLOW=127.0.0.1:9000 npm start -- --nodes 3    # settings of all three",
    "```",
    "",
    "Bounds are inclusive; sizes are in bytes.",
    "",
    "## Settings of every node",
    "",
    ...settingTable("src/config/settings.ts", settingRows([])),
    ...features.flatMap((feature) =>
      feature.settings === undefined
        ? []
        : [
            `## Settings of the feature ${feature.name}`,
            "",
            ...filesOf([feature], "settings").flatMap((file) =>
              settingTable(file, Object.entries(feature.settings ?? {})),
            ),
          ],
    ),
    "## Notes",
    "",
    "Settings of the fleet hold on every node, because the log has them: that of a node is only what a new fleet begins with. `cairn fleet settings NAME VALUE` changes one; the condition `fleet_settings_differ` names a node that was given another value.",
    "",
    "Without `data` the folder is `$STATE_DIRECTORY`, `/var/lib/cairn` as root or as the account that it belongs to, else `$XDG_STATE_HOME/cairn` or `~/.local/state/cairn` (macOS: `~/Library/Application Support/cairn`).",
    "",
    "## Other flags of a node",
    "",
    "`cairn serve` and `cairn dev` also take these, which are no settings: the file cannot have them.",
    "The flags of every other command are in its `--help`.",
    "",
    table(["Command", "Flag", "What it does"], otherFlags(features, new Set(settings.map(([key]) => flagOf(key))))),
    "",
    ...otherVariables(),
    `Secrets are no settings: ${SECRET_NAMES.map((name) => `\`${name}\``).join(", ")} as variables, as \`NAME_FILE\` with the path of a file, or as systemd credentials of that name. On the command line they are refused.`,
    "",
  ].join("\n");
}

/** Returns the lines for variables that are neither settings nor secrets, and for those of tas-mcp. */
function otherVariables(): string[] {
  return [
    "## Other variables",
    "",
    table(
      ["Variable", "What it does"],
      Object.entries(OTHER_VARIABLES).map(([name, what]) => [code(name), what]),
    ),
    "",
    "Variables of tas-mcp are other names of settings; a node says at its start what each has set. Where the variable of the setting has another value, the start is refused.",
    "",
    table(
      ["Variable", "Setting"],
      Object.entries(SEED_VARIABLES).map(([name, { key }]) => [code(name), code(key)]),
    ),
    "",
  ];
}

/** Returns the lines for the settings that a file defines. */
function settingTable(file: string, settings: readonly (readonly [string, SettingRow])[]): string[] {
  const rows = settings.map(([key, row]) => {
    const value =
      row.default === undefined || (Array.isArray(row.default) && row.default.length === 0)
        ? ""
        : `\`${String(row.default)}\``;
    const kind = row.choices === undefined ? row.kind : row.choices.map((choice) => `\`${choice}\``).join(", ");
    return [code(key), code(flagOf(key)), code(envOf(key)), kind, boundsOf(row), value, helpOf(row)];
  });
  const head = ["Setting", "Flag", "Variable", "Kind", "Bounds", "Default", "What it does"];
  return [`Defined in ${code(file)}.`, "", table(head, rows), ""];
}

function boundsOf({ min, max }: SettingRow): string {
  if (min === undefined) return max === undefined ? "" : `≤ ${max}`;
  return max === undefined ? `≥ ${min}` : `${min}–${max}`;
}

/** Returns the flags of `serve` and `dev` that are not those of settings. */
function otherFlags(features: readonly Feature[], ofSettings: ReadonlySet<string>): string[][] {
  return commandsOf(features)
    .filter(({ words: [word, second] }) => second === undefined && (word === "serve" || word === "dev"))
    .flatMap(({ words, options = [] }) =>
      options
        .filter(({ flags }) => !ofSettings.has(flags.split(" ")[0] ?? ""))
        .map(({ flags, help }) => [code(`cairn ${words[0]}`), code(flags), help]),
    );
}
