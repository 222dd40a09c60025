#!/bin/sh
# Builds the Debian packages of the last commit and tries them: dpkg-buildpackage, lintian, then in a bare Debian 12
# `apt install ./*.deb`, the README's examples in shell, C and Python, and removal, which must leave nothing.
#   tools/check_packages.sh [FOLDER]   leaves the packages in FOLDER (default: a temporary one). As root, on Debian 12.
# BARE=FOLDER: a bare Debian 12 to copy, as debootstrap makes it (default: made, in minutes).
# RECORDING=FILE: what the examples listen to (default: one of the package alsa-utils, which says "front center").
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'umount -R "$work/root/proc" "$work/root/dev" 2>/dev/null; rm -rf --one-file-system "$work"' EXIT
out=${1:-$work/packages} recording=${RECORDING:-/usr/share/sounds/alsa/Front_Center.wav}
mkdir -p "$out" "$work/source"
out=$(cd "$out" && pwd)

said=$(dpkg-parsechangelog -S Version) is=$(sed -n "s/^  version: '\(.*\)',$/\1/p" meson.build)
[ "$said" = "$is" ] || { echo "debian/changelog says $said, meson.build $is"; exit 1; }
git archive --prefix="source/ser-$is/" HEAD | tar -x -C "$work"
(cd "$work/source/ser-$is" && PATH=/usr/sbin:/usr/bin:/sbin:/bin dpkg-buildpackage -us -uc >"$work/build.log" 2>&1) || { tail -n 40 "$work/build.log"; exit 1; }
cp "$work"/source/*.deb "$out"
for p in ser libser0 libser-dev python3-ser; do
  ls "$out/${p}_${is}"_*.deb >/dev/null || { echo "$p was not built"; exit 1; }
done
said=$(lintian --allow-root -q --display-info --fail-on error,warning,info "$work"/source/*.changes 2>&1) || { echo "$said"; exit 1; }
[ -z "$said" ] || { echo "$said"; exit 1; }
echo "Built, and lintian has nothing to say: $(ls "$out" | grep -c 'deb$') packages"

root=$work/root
if [ -n "${BARE:-}" ]; then cp -a "$BARE" "$root"; else debootstrap --variant=minbase bookworm "$root" >"$work/debootstrap.log"; fi
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
mkdir -p "$root/try"
cp "$out"/*.deb "$recording" "$root/try"
mv "$root/try/$(basename "$recording")" "$root/try/recording.${recording##*.}"
# The first block of each language, one behind the other.
for language in sh c python; do
  awk -v start="^\`\`\`$language\$" '$0 ~ start { in_block = 1; next } /^```/ { if (in_block) exit } in_block' \
    README.md | sed "s/recording\.wav/recording.${recording##*.}/g" >"$root/try/example.$language"
  [ -s "$root/try/example.$language" ] || { echo "README.md has no example in $language"; exit 1; }
done
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --make-rslave "$root/dev"
cat >"$root/try/try.sh" <<'TRY'
set -eu
cd /try
export DEBIAN_FRONTEND=noninteractive
list() { find / -xdev \( -path /proc -o -path /dev -o -path /try -o -path /tmp -o -path /var/cache -o -path /var/log -o -path /var/lib/apt -o \
  -path /var/lib/dpkg \) -prune -o -print | sort; }
apt-get update -qq
apt-get install -y -qq --no-install-recommends gcc libc6-dev pkg-config python3 >log 2>&1 || { cat log; exit 1; }
list >before
apt-get install -y -qq --no-install-recommends ./*.deb >log 2>&1 || { cat log; exit 1; }
echo "== shell"
sh -e example.sh
echo "== C"
cc example.c $(pkg-config --cflags --libs ser) -o example
./example recording.*
echo "== Python"
python3 example.python
python3 -m ser --version
ser predict --timeline --picture a.png recording.*
[ -s a.png ] || { echo "No picture was drawn"; exit 1; }
cat /usr/share/doc/ser/copyright | grep -q builtin-model
apt-get purge -y -qq ser libser0 libser-dev python3-ser >log 2>&1
apt-get autoremove --purge -y -qq >log 2>&1
ldconfig
list >after
diff before after && echo "Removed, and nothing is left"
TRY
chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
  $(env | grep -iE '^(https?_proxy|no_proxy)=' | tr '\n' ' ') sh /try/try.sh
