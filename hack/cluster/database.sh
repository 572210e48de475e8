#!/usr/bin/env bash
# The database beside the local node, for machines that cannot pull CockroachDB's image. It listens on
# the node's own address only; pods reach it through Service `database` (config/eval/node-database).
# It is CockroachDB where its program is at hand (COCKROACH_BINARY, or cockroach on the PATH), or else
# PostgreSQL, which apt-get installs if missing. Every commit is synced to disk. It speaks TLS alone, by a certificate of
# the demo's own authority (hack/demo/certificates). Beside the database orderd it has one for a second OrderCluster, trial.
#
#   hack/cluster/database.sh install    has the program for it, for the tests, which start one of their own
#   hack/cluster/database.sh up         starts it, with the data it had; prints what it is
#   hack/cluster/database.sh url        the URL for pods, through the Service
#   hack/cluster/database.sh node-url   the URL for programs on this machine
#   hack/cluster/database.sh kill       kills it without a warning (SIGKILL), to see what others do; it comes back by
#                                       itself after five seconds, as a pod would, or at once with `up`
#   hack/cluster/database.sh reset      empties it
#   hack/cluster/database.sh down [--keep]   stops it and deletes its data, or keeps it
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Not below the clone, although it is the clone's: PostgreSQL runs as a user of its own, who may not
# enter every folder.
HOME_OF_DATA=/var/lib/orderd-cluster
of_clone=$(owner)
DATA=$HOME_OF_DATA/$(printf '%s' "${of_clone:-$ROOT}" | sha256sum | cut -c1-12)
PORT=5432
SERVICE=database.orderd-eval.svc.cluster.local:26257
CERTIFICATES=$BIN/demo/certificates
DATABASES=(orderd trial)

cockroach_binary() { echo "${COCKROACH_BINARY:-$(command -v cockroach || true)}"; }

kind() { if [ -n "$(cockroach_binary)" ]; then echo cockroach; else echo postgres; fi; }

url() {
  [ -e "$DATA/password" ] || die "the database was never started: hack/cluster/database.sh up"
  echo "postgres://orderd:$(cat "$DATA/password")@$1/orderd?sslmode=verify-full"
}

# make_password: it stays the same as long as the data do.
make_password() {
  [ -s "$DATA/password" ] || (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$DATA/password")
}

# The newest server's folder; Debian's clients have folders there too.
postgres_bin() { find /usr/lib/postgresql/*/bin/postgres -maxdepth 0 -printf '%h\n' 2>/dev/null | sort -V | tail -1; }

install_postgres() {
  [ -z "$(postgres_bin)" ] || return 0
  command -v apt-get >/dev/null || die "install PostgreSQL, or set COCKROACH_BINARY"
  say "installing PostgreSQL…"
  mkdir -p "$BIN/logs"
  # Debian would start a server of its own on the way.
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common/createcluster.d
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/orderd.conf
  fi
  (apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends postgresql) \
    >"$BIN/logs/apt-postgresql.log" 2>&1 || die "apt-get install postgresql failed; its output is in $BIN/logs/apt-postgresql.log"
}

# program installs nothing where the tests have a database without it (test/kit/testdb).
program() {
  [ -n "${ORDERD_TEST_DATABASE_URL:-}" ] || [ "$(kind)" = cockroach ] || command -v postgres >/dev/null || install_postgres
}

# PostgreSQL refuses to run as root.
postgres_user() { if id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi; }
as_user() { setpriv --reuid="$(postgres_user)" --regid="$(id -g "$(postgres_user)")" --clear-groups -- "$@"; }

init_postgres() {
  local bin=$1
  [ ! -e "$DATA/postgres/orderd-ready" ] || return 0
  rm -rf "$DATA/postgres"
  install -d -m 0700 -o "$(postgres_user)" "$DATA/postgres"
  rm -f "$DATA/password"
  make_password
  install -m 0600 -o "$(postgres_user)" "$DATA/password" "$DATA/password.init"
  (cd / && as_user "$bin/initdb" --pgdata="$DATA/postgres" --username=orderd --encoding=UTF8 --locale=C --data-checksums \
    --auth-local=reject --auth-host=scram-sha-256 --pwfile="$DATA/password.init") >>"$STATE/logs/database-init.log" 2>&1 ||
    die "initdb failed; see $STATE/logs/database-init.log"
  rm -f "$DATA/password.init"
  touch "$DATA/postgres/orderd-ready"
}

# configure_postgres also shows a running server certificates that were renewed.
configure_postgres() {
  local user file pid
  user=$(postgres_user)
  cat >"$DATA/postgres/pg_hba.conf" <<END
hostssl all all $NODE_IP/32 scram-sha-256
hostssl all all $POD_CIDR scram-sha-256
END
  cat >"$DATA/postgres/orderd.conf" <<END
listen_addresses = '$NODE_IP'
port = $PORT
unix_socket_directories = ''
max_connections = 200
shared_buffers = 256MB
max_wal_size = 1GB
log_destination = stderr
ssl = on
ssl_cert_file = 'node.crt'
ssl_key_file = 'node.key'
END
  grep -qxF "include 'orderd.conf'" "$DATA/postgres/postgresql.conf" || echo "include 'orderd.conf'" >>"$DATA/postgres/postgresql.conf"
  for file in node.crt node.key; do
    cmp -s "$CERTIFICATES/database/$file" "$DATA/postgres/$file" ||
      install -m 0600 -o "$user" "$CERTIFICATES/database/$file" "$DATA/postgres/$file"
  done
  if pid=$(database_pid); then kill -HUP "$pid"; fi
}

# database_pid is the server itself; the recorded process is the one that watches it. Of PostgreSQL's
# processes only the first names its folder.
database_pid() {
  local dir program line
  for dir in /proc/[0-9]*; do
    { IFS= read -r -d '' program && line=$(tr '\0' ' '); } 2>/dev/null <"$dir/cmdline" || continue
    case "${program##*/} $line" in
    "postgres -D $DATA/postgres "* | "cockroach "*"--store=$DATA/cockroach "*)
      echo "${dir#/proc/}"
      return 0
      ;;
    esac
  done
  return 1
}

# postgres_sql BIN DATABASE STATEMENT
postgres_sql() {
  PGPASSWORD=$(cat "$DATA/password") PGSSLMODE=verify-ca PGSSLROOTCERT=$CERTIFICATES/ca.crt \
    "$1/psql" -qtAX -h "$NODE_IP" -p "$PORT" -U orderd -d "$2" -c "$3"
}

# watch COMMAND…: runs the database. After a kill, its last processes may hold the data for a moment
# longer; then it ends, and the next attempt succeeds.
RESTART_SECONDS=5
watch() {
  (cd / && start database "$ROOT/hack/cluster/supervise.sh" "$RESTART_SECONDS" "$@")
}

up_postgres() {
  local bin user name
  install_postgres
  bin=$(postgres_bin)
  user=$(postgres_user)
  { pid_of database && database_pid; } >/dev/null || stop_database
  init_postgres "$bin"
  configure_postgres
  CONFIG_OF=$DATA/postgres/orderd.conf watch setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- "$bin/postgres" -D "$DATA/postgres"
  wait_for 60 "the database" postgres_sql "$bin" postgres 'SELECT 1'
  for name in "${DATABASES[@]}"; do
    postgres_sql "$bin" "$name" 'SELECT 1' >/dev/null 2>&1 || postgres_sql "$bin" postgres "CREATE DATABASE $name"
  done
  say "database: PostgreSQL $("$bin/postgres" --version | awk '{print $3}') at $NODE_IP:$PORT"
}

cockroach_sql() {
  "$(cockroach_binary)" sql --certs-dir="$CERTIFICATES/database" --host="$NODE_IP:$PORT" -e "$1" >/dev/null
}

up_cockroach() {
  local cockroach name
  cockroach=$(cockroach_binary)
  { pid_of database && database_pid; } >/dev/null || stop_database
  mkdir -p "$DATA/cockroach"
  make_password
  watch "$cockroach" start-single-node --certs-dir="$CERTIFICATES/database" --store="$DATA/cockroach" --cache=256MiB \
    --max-sql-memory=256MiB --listen-addr="$NODE_IP:$PORT" --http-addr="$NODE_IP:5433"
  wait_for 60 "the database" cockroach_sql 'SELECT 1'
  for name in "${DATABASES[@]}"; do cockroach_sql "CREATE DATABASE IF NOT EXISTS $name"; done
  cockroach_sql 'CREATE USER IF NOT EXISTS orderd'
  cockroach_sql "ALTER USER orderd WITH PASSWORD '$(cat "$DATA/password")'"
  cockroach_sql 'GRANT admin TO orderd'
  say "database: $("$cockroach" version | awk '/Build Tag/ {print "CockroachDB " $3}') at $NODE_IP:$PORT"
}

up() {
  need_root_on_linux
  [ "$(owner)" = "$ROOT" ] || die "this clone's cluster does not run; hack/cluster/up.sh starts it"
  "$ROOT/hack/demo/certificates.sh"
  mkdir -p "$STATE/logs"
  install -d -m 0755 "$HOME_OF_DATA" "$DATA"
  "up_$(kind)"
}

kill_now() {
  local pid
  pid=$(database_pid) || die "the database does not run"
  # The server's own processes notice that their parent is gone and end; CockroachDB has only the one.
  kill -KILL "$pid"
  say "database: killed"
}

stop_database() {
  local pid
  stop database 30
  # A server whose watcher was killed has to be stopped by itself.
  while pid=$(database_pid); do
    kill -KILL "$pid" 2>/dev/null || true
    sleep 0.1
  done
}

down() {
  stop_database
  [ "${1:-}" = --keep ] || rm -rf "$DATA"
  rmdir "$HOME_OF_DATA" 2>/dev/null || true
}

case ${1:-} in
install) program ;;
up) up ;;
url) url "$SERVICE" ;;
node-url) echo "$(url "$NODE_IP:$PORT")&sslrootcert=$CERTIFICATES/ca.crt" ;;
kill) kill_now ;;
reset) down && up ;;
down) down "${2:-}" ;;
*) die "usage: hack/cluster/database.sh install|up|url|node-url|kill|reset|down [--keep]" ;;
esac
