// A service whose start is a unit of systemd: a program that starts the unit, stays while it runs, and stops it. It
// runs under the guard like any other; the unit is bound to that of the node, so that systemd stops it with the node.

/** A name of a unit. */
export const UNIT_NAME = /^[A-Za-z0-9][A-Za-z0-9:_.@-]{0,200}\.service$/;
/** The shortest lease, in seconds: the watchdog of the node's own unit ends what is bound to it within 30 s. */
export const MIN_UNIT_LEASE = 45;

/**
 * Words: what to do (`hold`, `end`), the unit, seconds that a stop may take. `hold` ends with the unit; `end` only once
 * the unit is over, or with a failure.
 */
const SCRIPT = `what=$1 unit=$2 seconds=$3
place=
own=
for part in $(tr '/' ' ' </proc/self/cgroup); do
  case $part in
    user@*.service) place=--user ;;
    *.service) own=$part ;;
  esac
done
fail() { echo "$1" >&2; exit 1; }
of() { systemctl $place show --property="$1" --value -- "$unit"; }
ended() {
  case $(of ActiveState) in
    active | activating | reloading | refreshing | deactivating) return 1 ;;
    inactive | failed) return 0 ;;
  esac
  return 1
}
stopped() {
  # The guard signals the whole group: what stops the unit must not be ended by that.
  trap '' TERM INT
  systemctl $place stop --no-block -- "$unit"
  try=0
  while [ "$try" -lt $((seconds * 4)) ]; do
    ended && return 0
    sleep 0.2
    try=$((try + 1))
  done
  systemctl $place kill --signal=SIGKILL -- "$unit"
  for try in 1 2 3 4 5 6 7 8 9 10; do ended && return 0; sleep 0.1; done
  return 1
}
if [ "$what" = end ]; then
  [ "$(of LoadState)" != loaded ] || stopped || fail "$unit cannot be stopped"
  exit 0
fi
[ "$(of LoadState)" = loaded ] || fail "there is no unit $unit: put its file where systemctl finds it"
[ -n "$own" ] || fail "this node is no unit of systemd, so $unit cannot be bound to it: run cairn service install"
case " $(of BindsTo) " in
  *" $own "*) ;;
  *) fail "$unit is not bound to the node: add BindsTo=$own and After=$own to its [Unit]" ;;
esac
case $(of UnitFileState) in
  enabled*) fail "$unit starts at boot without asking the leader: systemctl disable $unit" ;;
esac
ended || fail "$unit runs already, and not by this start: systemctl stop $unit"
folder=$XDG_RUNTIME_DIR/cairn-services
umask 077
mkdir -p "$folder" || exit 1
{ echo "CAIRN_SERVICE=$CAIRN_SERVICE"; echo "CAIRN_FENCE=$CAIRN_FENCE"; echo "CAIRN_LEASE=$CAIRN_LEASE"; } >"$folder/$unit.env" || exit 1
trap 'stopped || fail "$unit cannot be stopped"; exit 0' TERM INT
systemctl $place start -- "$unit" || fail "$unit does not start: systemctl status $unit says why"
until ended; do sleep 0.5 & wait $!; done
fail "$unit is $(of ActiveState): $(of Result)"
`;

/** Returns the program that holds a unit, or ends it. `graceMs`: how long it may take to stop. */
export function unitWords(what: "hold" | "end", unit: string, graceMs: number): string[] {
  // A second is left for SIGKILL.
  const seconds = Math.max(1, Math.floor(graceMs / 1000) - 1);
  return ["/bin/sh", "-c", SCRIPT, "cairn-unit", what, unit, String(seconds)];
}
