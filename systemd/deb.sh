#!/bin/sh
# Builds build/reevd_VERSION_ARCH.deb from what `make install DESTDIR=...` puts into a tree.
set -eu
umask 022
cd "$(dirname "$0")/.."
command -v dpkg-deb >/dev/null || { echo "Error: a Debian package needs dpkg-deb" >&2; exit 1; }
python=${PYTHON:-/usr/bin/python3}
tree=$PWD/build/deb
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
arch=$(dpkg --print-architecture)
minor=$("$python" -c 'import sys; print(sys.version_info.minor)')
rm -rf "$tree"
DESTDIR=$tree PREFIX=/usr PYTHON=$python UNITDIR=/usr/lib/systemd/system SYSUSERSDIR=/usr/lib/sysusers.d \
    TMPFILESDIR=/usr/lib/tmpfiles.d systemd/install.sh program host
mkdir -p "$tree/DEBIAN"
cat >"$tree/DEBIAN/control" <<END
Package: reevd
Version: $version
Architecture: $arch
Maintainer: the authors of reevd
Section: utils
Priority: optional
Depends: python3 (>= 3.$minor), python3 (<< 3.$((minor + 1))), systemd (>= 250)
Installed-Size: $(du -sk "$tree" | cut -f1)
Description: the state of every agent run, from its files
 A daemon that keeps SQLite true to the sessions that benchmark runs leave,
 its client, and the runner.
END
echo /etc/reevd/reevd.yaml >"$tree/DEBIAN/conffiles"
cat >"$tree/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
systemd-sysusers reevd.conf
systemd-tmpfiles --create reevd.conf
for case in /usr/share/reevd/benchmarks/*.yml; do
    target=/var/lib/reevd/benchmarks/${case##*/}
    [ -e "$target" ] || runuser -u reevd -- cp "$case" "$target"
done
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl reset-failed reevd.service reevd.socket 2>/dev/null || true
    systemctl enable --quiet --now reevd.socket reev-run.socket
    systemctl enable --quiet reevd.service
    systemctl restart reevd.service
fi
END
cat >"$tree/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --quiet --now reevd.service reevd.socket reev-run.socket
fi
END
cat >"$tree/DEBIAN/postrm" <<'END'
#!/bin/sh
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
END
chmod 755 "$tree/DEBIAN/postinst" "$tree/DEBIAN/prerm" "$tree/DEBIAN/postrm"
dpkg-deb --root-owner-group -Zgzip --build "$tree" "build/reevd_${version}_$arch.deb"
