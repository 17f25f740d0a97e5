#!/bin/sh
# Installs reevd on a host, or removes it: systemd/install.sh program|host|activate|remove
# Settings, as of `make install`: DESTDIR, PREFIX, PYTHON, SYSCONFDIR, UNITDIR, EXTRAS (otlp, parquet).
set -eu
umask 022  # what it makes is for all users of the host, whoever installs it
cd "$(dirname "$0")/.."
DESTDIR=${DESTDIR:-} PREFIX=${PREFIX:-/usr/local} SYSCONFDIR=${SYSCONFDIR:-/etc}
UNITDIR=${UNITDIR:-$SYSCONFDIR/systemd/system}
SYSUSERSDIR=${SYSUSERSDIR:-$SYSCONFDIR/sysusers.d} TMPFILESDIR=${TMPFILESDIR:-$SYSCONFDIR/tmpfiles.d}
LIBDIR=$PREFIX/lib/reevd BINDIR=$PREFIX/bin SHAREDIR=$PREFIX/share/reevd
UNITS="reevd.service reevd.socket reev-run.socket reev-run@.service"
COMMANDS="reevd reevctl reev-runner"
BUILDERS="hatchling editables packaging pathspec pluggy tomlkit trove-classifiers setuptools pip" EXTRAS=${EXTRAS:-}

fail() { printf 'Error: %s\nTry: %s\n' "$1" "$2" >&2; exit 1; }

put() { # FILE TARGET [MODE]: with the places of this installation in it
    mkdir -p "$(dirname "$DESTDIR$2")"
    sed -e "s|@SYSCONFDIR@|$SYSCONFDIR|g" -e "s|@LIBDIR@|$LIBDIR|g" -e "s|@BINDIR@|$BINDIR|g" -e "s|@SHAREDIR@|$SHAREDIR|g" "$1" >"$DESTDIR$2"
    chmod "${3:-644}" "$DESTDIR$2"
}

failed() {
    rm -rf "$DESTDIR$LIBDIR.new"
    fail "the programs could not be installed; what stood in $LIBDIR is as it was" "what is said above; then again"
}

extras() { # DIR: the extras that the programs in it have, separated by commas
    for extra in otlp:opentelemetry/exporter/otlp parquet:pyarrow; do
        for folder in "$1"/lib/python*/site-packages/"${extra#*:}"; do
            [ ! -d "$folder" ] || printf '%s,' "${extra%%:*}"
        done
    done | sed 's/,$//'
}

program() { # the programs with what they need, in an environment of their own
    python=${PYTHON:-/usr/bin/python3}
    real=$("$python" -c 'import sys; print(sys.base_prefix)') ||
        fail "there is no Python at $python" "make install PYTHON=/usr/bin/python3.12"
    case $real in
    /root* | /home*) fail "the Python at $python lives in $real, where a service cannot see it" \
        "make install PYTHON=/usr/bin/python3" ;;
    esac
    # Beside the one that stands, which goes on until the new one is whole.
    target=$DESTDIR$LIBDIR new=$DESTDIR$LIBDIR.new
    rm -rf "$new" "$target.old"
    "$python" -m venv "$new"
    pip="$new/bin/python -m pip --disable-pip-version-check --quiet"
    $pip install --no-compile --require-hashes -r requirements.lock || failed
    $pip install --no-compile --no-deps --no-build-isolation . || failed
    # What was added to the one that stands, an upgrade adds anew, in the locked versions.
    [ -n "$EXTRAS" ] || EXTRAS=$(extras "$target")
    if [ -n "$EXTRAS" ]; then
        sed -n 's/^\([A-Za-z0-9].*==.*\) \\$/\1/p' requirements-dev.lock >"$new/constraints"
        $pip install --no-compile --no-build-isolation -c "$new/constraints" ".[$EXTRAS]" || failed
        rm "$new/constraints"
    fi
    # What built it is not needed to run it, nor are traces of where it was built.
    # shellcheck disable=SC2086
    $pip uninstall --yes $BUILDERS || failed
    rm -f "$new"/lib/python*/site-packages/reevd-*.dist-info/direct_url.json
    grep -rlIF "$new" "$new/bin" "$new/pyvenv.cfg" | xargs -r sed -i "s|$new|$LIBDIR|g"
    "$new/bin/python" -m compileall -q -s "$new" -p "$LIBDIR" "$new"/lib/python*/site-packages || failed
    [ ! -e "$target" ] || mv "$target" "$target.old"
    mv "$new" "$target"
    rm -rf "$target.old"
    mkdir -p "$DESTDIR$BINDIR"
    for command in $COMMANDS; do ln -sfn "$LIBDIR/bin/$command" "$DESTDIR$BINDIR/$command"; done
}

host() { # what the host must know: units, user and groups, folders, settings, cases
    for unit in $UNITS; do put "systemd/$unit" "$UNITDIR/$unit"; done
    put systemd/sysusers.conf "$SYSUSERSDIR/reevd.conf"
    put systemd/tmpfiles.conf "$TMPFILESDIR/reevd.conf"
    for case in benchmarks/*.yml; do put "$case" "$SHAREDIR/$case"; done
    put README.md "$SHAREDIR/README.md"
    # Each setting stands in its comment: the file says what there is, and changes nothing. A file of the host's stays.
    if [ ! -e "$DESTDIR$SYSCONFDIR/reevd/reevd.yaml" ]; then
        put systemd/reevd.yaml "$SYSCONFDIR/reevd/reevd.yaml"
        sed -i 's/^\([a-z]\)/# \1/' "$DESTDIR$SYSCONFDIR/reevd/reevd.yaml"
    fi
}

new_cases() { # that came with this version; the host's own, and those it has changed, stay as they are
    for case in "$SHAREDIR"/benchmarks/*.yml; do
        target=/var/lib/reevd/benchmarks/${case##*/}
        [ -e "$target" ] || runuser -u reevd -- cp "$case" "$target"
    done
}

activate() { # on this host, now
    systemd-sysusers
    systemd-tmpfiles --create "$TMPFILESDIR/reevd.conf"
    new_cases
    systemctl daemon-reload
    # After a start that failed too often, neither unit could be started before this.
    systemctl reset-failed reevd.service reevd.socket 2>/dev/null || true
    systemctl enable --quiet --now reevd.socket reev-run.socket
    systemctl enable --quiet reevd.service
    systemctl restart reevd.service
    systemctl --no-pager --lines=0 status reevd.service
    echo "Try: usermod -aG reev SOMEBODY; then, as SOMEBODY: reev-runner $SHAREDIR/benchmarks; reevctl status"
}

remove() { # the programs and the units; the database, the sessions and the settings stay
    if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
        # shellcheck disable=SC2086
        systemctl disable --quiet --now reevd.service reevd.socket reev-run.socket || true
    fi
    for unit in $UNITS; do rm -f "$DESTDIR$UNITDIR/$unit"; done
    rm -f "$DESTDIR$SYSUSERSDIR/reevd.conf" "$DESTDIR$TMPFILESDIR/reevd.conf"
    for command in $COMMANDS; do rm -f "$DESTDIR$BINDIR/$command"; done
    rm -rf "$DESTDIR$LIBDIR" "$DESTDIR$SHAREDIR"
    [ -n "$DESTDIR" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
    echo "kept: $SYSCONFDIR/reevd, /var/lib/reevd, /var/log/reevd, the user reevd and its groups"
}

for step in "${@:-host}"; do
    case $step in
    program | host | activate | remove) "$step" ;;
    *) fail "unknown step $step" "program, host, activate, remove" ;;
    esac
done
