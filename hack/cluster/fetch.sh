# Fetches released programs, as releases.tsv pins them, in place of building them. build.sh sources it, and builds
# whatever is not fetched.
#
#   ORDERD_RELEASES=none                    fetches nothing
#   ORDERD_RELEASES=http://127.0.0.1:8000   asks there for /HOST/PATH, in place of https://HOST/PATH
#   ORDERD_RELEASES_PINS=FILE               in place of releases.tsv
# shellcheck shell=bash disable=SC2034
PINS=${ORDERD_RELEASES_PINS:-$ROOT/hack/cluster/releases.tsv}
PROBE_SECONDS=3
# Downloads, until they are checked; on the same file system as what they become.
PARTS=$BIN/fetch

declare -A MODULE=() VERSION=() SHA=() URL=() MEMBERS=()
# The process of each download that runs.
declare -A DOWNLOAD=()

# read_pins PLATFORM
read_pins() {
  local name platform module version sha url members
  while IFS=$'\t' read -r name platform module version sha url members; do
    [ "$platform" = "$1" ] || continue
    MODULE[$name]=$module VERSION[$name]=$version SHA[$name]=$sha URL[$name]=$url MEMBERS[$name]=$members
  done <"$PINS"
}

# released NAME FOLDER: whether a hash is pinned for the version that the folder's go.mod has.
released() { [ "${SHA[$1]:--}" != - ] && [ "${VERSION[$1]}" = "$(version_of "$2" "${MODULE[$1]}")" ]; }

release_stamp() { echo "release ${VERSION[$1]} ${SHA[$1]}"; }

# address URL: where to ask for it.
address() { if [ -n "${ORDERD_RELEASES:-}" ]; then echo "$ORDERD_RELEASES/${1#https://}"; else echo "$1"; fi; }

# begin_fetches NAME…: asks all hosts at once whether they answer, and begins to download from those that do. A
# host is asked for a program of its own, because the answer may name yet another host.
begin_fetches() {
  local name host silent=""
  declare -A asked=()
  for name; do
    host=$(cut -d/ -f3 <<<"${URL[$name]}")
    [ -z "${asked[$host]:-}" ] || continue
    curl -sIL -o /dev/null --max-time "$PROBE_SECONDS" "$(address "${URL[$name]}")" 8>&- &
    asked[$host]=$!
  done
  for host in "${!asked[@]}"; do wait "${asked[$host]}" || silent+=" $host"; done
  [ -z "$silent" ] || say "not reached within $PROBE_SECONDS s:$silent; what they have is built"
  for name; do
    host=$(cut -d/ -f3 <<<"${URL[$name]}")
    case "$silent " in *" $host "*) ;; *) download "$name" ;; esac
  done
}

# download NAME gives up if it gets less than a kilobyte a second for ten seconds.
download() {
  mkdir -p "$PARTS/$1"
  curl -fsSL --connect-timeout "$PROBE_SECONDS" --speed-limit 1024 --speed-time 10 --retry 1 \
    -o "$PARTS/$1/file" "$(address "${URL[$1]}")" 2>"$PARTS/$1/error" 8>&- &
  DOWNLOAD[$1]=$!
}

# place NAME TO: checks what was downloaded and moves it to where the build would put it; else WHY says why not.
place() {
  local part=$PARTS/$1 to=$2 members=${MEMBERS[$1]} sha member target
  if ! wait "${DOWNLOAD[$1]}"; then
    WHY=$(tail -n 1 "$part/error")
    return 1
  fi
  sha=$(sha256sum <"$part/file" | cut -d' ' -f1)
  [ "$sha" = "${SHA[$1]}" ] || { WHY="its hash is $sha, not the pinned ${SHA[$1]}" && return 1; }
  if [ "$members" = - ]; then
    members=${URL[$1]##*/}
    mkdir "$part/tree" && mv "$part/file" "$part/tree/$members"
  else
    mkdir "$part/tree" && tar -xzmf "$part/file" -C "$part/tree" --no-same-owner 2>"$part/error"
  fi || { WHY="it cannot be unpacked: $(tail -n 1 "$part/error")" && return 1; }
  for member in $members; do
    [ -f "$part/tree/$member" ] || { WHY="its archive has no $member" && return 1; }
  done
  WHY="it cannot be written to $BIN/$to"
  rm -f "$BIN/stamps/$1" && mkdir -p "$BIN/stamps" "$(dirname "$BIN/$to.")" || return 1
  for member in $members; do
    case $to in */) target=$BIN/$to${member##*/} ;; *) target=$BIN/$to ;; esac
    chmod 0755 "$part/tree/$member" && mv -f "$part/tree/$member" "$target" || return 1
  done
  release_stamp "$1" >"$BIN/stamps/$1"
}
