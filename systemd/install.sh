#!/bin/sh
# Installs reevd on a host, or removes it: systemd/install.sh program|host|activate|remove
# Settings, as of `make install`: DESTDIR, PREFIX, PYTHON, SYSCONFDIR, UNITDIR.
set -eu
cd "$(dirname "$0")/.."
DESTDIR=${DESTDIR:-} PREFIX=${PREFIX:-/usr/local} SYSCONFDIR=${SYSCONFDIR:-/etc}
UNITDIR=${UNITDIR:-$SYSCONFDIR/systemd/system}
SYSUSERSDIR=${SYSUSERSDIR:-$SYSCONFDIR/sysusers.d} TMPFILESDIR=${TMPFILESDIR:-$SYSCONFDIR/tmpfiles.d}
LIBDIR=$PREFIX/lib/reevd BINDIR=$PREFIX/bin SHAREDIR=$PREFIX/share/reevd
UNITS="reevd.service reevd.socket reev-run.socket reev-run@.service"
COMMANDS="reevd reevctl reev-runner"

fail() { printf 'Error: %s\nTry: %s\n' "$1" "$2" >&2; exit 1; }

put() { # FILE TARGET [MODE]: with the places of this installation in it
    mkdir -p "$(dirname "$DESTDIR$2")"
    sed -e "s|@LIBDIR@|$LIBDIR|g" -e "s|@BINDIR@|$BINDIR|g" -e "s|@SHAREDIR@|$SHAREDIR|g" "$1" >"$DESTDIR$2"
    chmod "${3:-644}" "$DESTDIR$2"
}

program() { # the programs with what they need, in an environment of their own
    python=${PYTHON:-/usr/bin/python3}
    real=$("$python" -c 'import sys; print(sys.base_prefix)') ||
        fail "there is no Python at $python" "make install PYTHON=/usr/bin/python3.12"
    case $real in
    /root* | /home*) fail "the Python at $python lives in $real, where a service cannot see it" \
        "make install PYTHON=/usr/bin/python3" ;;
    esac
    rm -rf "$DESTDIR$LIBDIR"
    "$python" -m venv "$DESTDIR$LIBDIR"
    pip="$DESTDIR$LIBDIR/bin/python -m pip --disable-pip-version-check --quiet"
    $pip install --require-hashes -r requirements.lock
    $pip install --no-deps --no-build-isolation .
    # What stands there says where it is: in its final place, not in DESTDIR.
    [ -z "$DESTDIR" ] || grep -rlIF "$DESTDIR" "$DESTDIR$LIBDIR/bin" "$DESTDIR$LIBDIR/pyvenv.cfg" |
        xargs -r sed -i "s|$DESTDIR||g"
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

activate() { # on this host, now
    systemd-sysusers
    systemd-tmpfiles --create "$TMPFILESDIR/reevd.conf"
    systemctl daemon-reload
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
