#!/bin/sh
# Does what the Dockerfile says without Docker: each stage's RUN lines in a bare Debian 12, COPY and USER between them, and then
# what the image's first lines promise: a prediction and the service, as the image's user. As root, with debootstrap; minutes.
# Usage: tools/check_dockerfile.sh
#   BARE=FOLDER: a bare Debian 12 to copy, as debootstrap makes it (default: made, in minutes).
set -eu
cd "$(dirname "$0")/.."
top=$PWD
work=$(mktemp -d /var/tmp/ser-image.XXXXXX)
leave() {
  for root in "$work"/*; do umount "$root/proc" 2>/dev/null || true; done
  rm -rf --one-file-system "$work"
}
trap leave EXIT
trap 'exit 1' INT TERM

new_root() { # FOLDER: FROM debian:bookworm-slim
  if [ -n "${BARE:-}" ]; then cp -a "$BARE" "$1"; else
    [ -e "$work/bare" ] || debootstrap --variant=minbase bookworm "$work/bare" >"$work/log" || { tail -n 3 "$work/log" >&2; exit 1; }
    cp -a "$work/bare" "$1"
  fi
  # The package sources, proxies and certificates of this machine: an image has those of its builder, too.
  rm -f "$1/etc/apt/sources.list"
  cp -a /etc/apt/sources.list.d /etc/apt/apt.conf.d "$1/etc/apt/"
  [ ! -f /etc/apt/sources.list ] || cp /etc/apt/sources.list "$1/etc/apt/"
  mkdir -p "$1/etc/ssl/certs"
  cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
  for f in resolv.conf hosts; do cp -L "/etc/$f" "$1/etc/$f"; done
  mount -t proc proc "$1/proc"
  [ -c "$1/dev/null" ] || { rm -f "$1/dev/null"; mknod -m 666 "$1/dev/null" c 1 3; }
  [ -c "$1/dev/urandom" ] || mknod -m 666 "$1/dev/urandom" c 1 9
}

inside() { # FOLDER DIRECTORY COMMAND: as RUN does; $exec: in the place of this shell
  ${exec:-} env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
    $(env | grep -iE '^(https?|no)_proxy=' || true) chroot ${user:+--userspec="$user"} "$1" /bin/sh -c "cd '$2' && $3" </dev/null
}

# A line per instruction: continued ones joined, comments left out.
sed '/^#/d; /^$/d' Dockerfile | sed -e ':a' -e '/\\$/N; s/ *\\\n */ /; ta' >"$work/lines"
stage=0 user= directory=/ entry= command=
while read -r what rest; do
  echo "$what $rest" | cut -c1-120
  case $what in
    FROM)
      stage=$((stage + 1)) user= directory=/
      root=$work/stage-$stage
      case $rest in debian:bookworm-slim*) new_root "$root" ;; *) echo "FROM $rest: not known here" >&2; exit 1 ;; esac
      case $rest in *" AS "*) ln -s "stage-$stage" "$work/${rest##* AS }" ;; esac ;;
    WORKDIR) directory=$rest; mkdir -p "$root$rest" ;;
    COPY)
      case $rest in
        --from=*) set -- $rest; from=$work/${1#--from=}; cp -a "$from$2/." "$root$3" ;;
        ". "*) mkdir -p "$root${rest#. }"; git archive HEAD | tar -x -C "$root${rest#. }" ;;
        *) echo "COPY $rest: not known here" >&2; exit 1 ;;
      esac ;;
    RUN) inside "$root" "$directory" "$rest" >"$work/log" 2>&1 || { tail -n 30 "$work/log" >&2; exit 1; } ;;
    USER) user=$rest ;;
    ENTRYPOINT) entry=$(echo "$rest" | tr -d '[]",') ;;
    CMD) command=$(echo "$rest" | tr -d '[]",') ;;
    EXPOSE) port=$rest ;;
  esac
done <"$work/lines"

sound=$root/tmp/recording.wav
cp /usr/share/sounds/alsa/Front_Center.wav "$sound"
echo "predict:"
inside "$root" / "$entry predict --format json /tmp/recording.wav" | tee "$work/said"
grep -q '"scores": {' "$work/said"
echo "serve: $entry $command"
(exec=exec; inside "$root" / "exec $entry $command" 2>"$work/log") &
service=$!
stop() { kill "$service" 2>/dev/null || true; wait "$service" 2>/dev/null || true; leave; }
trap stop EXIT
for _ in $(seq 100); do curl -fs "http://127.0.0.1:$port/health" && break; sleep 0.2; done
curl -fs --data-binary "@$sound" "http://127.0.0.1:$port/v1/predict" | tee "$work/answered"
grep -q '"scores": {' "$work/answered"
[ "$(inside "$root" / 'id -u')" != 0 ] || { echo "it runs as root" >&2; exit 1; }
kill "$service"
wait "$service" || { echo "it does not end as it should" >&2; exit 1; }
echo "the image's lines work: $(du -sh "$root" | cut -f1) with the system"
