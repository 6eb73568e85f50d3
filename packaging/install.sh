#!/bin/sh
# Installs the cairn executable for this machine from a folder of a release: downloads it with its checksums, verifies
# SHA-256 and, with --key, the Ed25519 signature of the checksums, and puts it in place in one step. On any doubt
# nothing is changed. Exit codes: 2 wrong words or machine, 3 no download, 4 not what was published, 5 cannot install.
set -eu

usage() {
  cat <<'TEXT'
usage: install.sh --from URL [--to DIR] [--key FILE]
  --from URL   folder with cairn-<os>-<arch> and SHA256SUMS (or CAIRN_RELEASE_URL)
  --to DIR     where cairn is put (default: ~/.local/bin, for root /usr/local/bin)
  --key FILE   public Ed25519 key (PEM): SHA256SUMS.sig must fit. Needs openssl 3. Without https it is required.
TEXT
}

fail() {
  code=$1
  shift
  printf 'install.sh: %s\n' "$*" >&2
  exit "$code"
}

from=${CAIRN_RELEASE_URL:-}
to=
key=
while [ $# -gt 0 ]; do
  case $1 in
    --from | --to | --key)
      [ $# -ge 2 ] || fail 2 "$1 needs a value"
      case $1 in --from) from=$2 ;; --to) to=$2 ;; --key) key=$2 ;; esac
      shift 2
      ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done
[ -n "$from" ] || { usage >&2 && exit 2; }
from=${from%/}

# The checksums come from where the file comes from: who can change one on the way can change both.
case $from in
  https://* | http://127.0.0.1:* | http://localhost:*) ;;
  http://*) [ -n "$key" ] || fail 2 "$from is not https: give --key, so that the signature is verified" ;;
  *) fail 2 "$from is not the address of a release; write it as https://example.com/cairn" ;;
esac
[ -z "$key" ] || [ -r "$key" ] || fail 2 "cannot read the key $key"

case $(uname -s)-$(uname -m) in
  Linux-x86_64 | Linux-amd64) target=linux-x64 ;;
  Linux-aarch64 | Linux-arm64) target=linux-arm64 ;;
  Darwin-arm64) target=darwin-arm64 ;;
  *) fail 2 "there is no cairn for $(uname -s) on $(uname -m)" ;;
esac
name=cairn-$target

if [ -z "$to" ]; then
  if [ "$(id -u)" = 0 ]; then to=/usr/local/bin; else to=$HOME/.local/bin; fi
fi
mkdir -p "$to" || fail 5 "cannot make the folder $to"
[ ! -d "$to/cairn" ] || fail 5 "$to/cairn is a folder; name another place with --to"
if command -v dpkg >/dev/null 2>&1 && dpkg -S "$to/cairn" >/dev/null 2>&1; then
  fail 5 "$to/cairn belongs to a package; upgrade that one, or name another place with --to"
fi

# In the folder itself, so that the last step is a rename.
work=$(mktemp -d "$to/.cairn-install.XXXXXX") || fail 5 "cannot write to $to"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

download() {
  if command -v curl >/dev/null 2>&1; then
    curl -fsSL --proto '=http,https' --connect-timeout 20 --speed-limit 1000 --speed-time 60 -o "$work/$1" "$from/$1"
  elif command -v wget >/dev/null 2>&1; then
    wget -q --timeout=60 --tries=2 -O "$work/$1" "$from/$1"
  else
    fail 2 "neither curl nor wget is there"
  fi || fail 3 "cannot download $from/$1"
}

sha256() {
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum "$1"
  elif command -v shasum >/dev/null 2>&1; then
    shasum -a 256 "$1"
  else
    fail 2 "neither sha256sum nor shasum is there"
  fi | cut -d ' ' -f 1
}

download SHA256SUMS
if [ -n "$key" ]; then
  command -v openssl >/dev/null 2>&1 || fail 2 "--key needs openssl"
  download SHA256SUMS.sig
  openssl pkeyutl -verify -pubin -inkey "$key" -rawin -in "$work/SHA256SUMS" -sigfile "$work/SHA256SUMS.sig" \
    >/dev/null 2>&1 || fail 4 "the signature of $from/SHA256SUMS is not that of the key $key; nothing was installed"
fi
wanted=$(sed -n "s/^\([0-9a-f]\{64\}\)  $name\$/\1/p" "$work/SHA256SUMS")
[ "${#wanted}" = 64 ] || fail 4 "$from/SHA256SUMS has not one line for $name; nothing was installed"
download "$name"
found=$(sha256 "$work/$name")
[ "$found" = "$wanted" ] || fail 4 "$name has the SHA-256 $found, not $wanted; nothing was installed"

chmod 755 "$work/$name"
version=$("$work/$name" --version) || fail 5 "$name does not run on this machine; nothing was installed"
mv -f "$work/$name" "$to/cairn" || fail 5 "cannot put $to/cairn in place"
printf 'installed %s/cairn\n%s\n' "$to" "$version"
case ":$PATH:" in *":$to:"*) ;; *) printf 'add %s to PATH\n' "$to" ;; esac
