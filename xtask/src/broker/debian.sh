# Makes a root directory with Debian's RabbitMQ in it. $0: the release, $1: the directory, $2: the archive, if not the usual one.
set -eu
release=$0 root=$1
shift

# What apt is told here about proxies, dates and retries holds in there as well.
settings=$(apt-config dump | grep '^Acquire::' || true)
http_proxy=${http_proxy-$(printf '%s\n' "$settings" | sed -n 's/^Acquire::http::Proxy "\(.*\)";$/\1/p')}
if [ -n "$http_proxy" ]; then export http_proxy; else unset http_proxy; fi

debootstrap --variant=minbase --include=ca-certificates "$release" "$root" "$@"

printf '%s\n' "$settings" > "$root/etc/apt/apt.conf.d/90outside"
# No service is started in there, nor from in there out here.
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
# Without the hosts file Erlang does not find "localhost".
cp /etc/resolv.conf /etc/hosts "$root/etc/"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"

export DEBIAN_FRONTEND=noninteractive LC_ALL=C
chroot "$root" apt-get update
chroot "$root" apt-get install --yes --no-install-recommends rabbitmq-server
# A third of the size, and of no more use.
chroot "$root" apt-get clean
rm -rf "$root"/var/lib/apt/lists/*
