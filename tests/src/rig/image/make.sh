#!/bin/sh
# Makes the root file system of a host: make.sh MATERIAL BUILDING ARCHIVE
# To be run in a mount namespace of its own, so that no mount is left whatever happens.
set -eu
exec 2>&1
material=$1 root=$2 archive=$3
command -v debootstrap >/dev/null || { echo 'debootstrap is missing; install the Debian package of that name'; exit 1; }

rm -rf "$root"
debootstrap --variant=minbase \
    --include=systemd,systemd-sysv,dbus,openssh-server,sudo,iproute2,iptables,ca-certificates,curl,docker.io,default-jre-headless,postgresql-common \
    bookworm "$root" http://deb.debian.org/debian

# The same authorities as this machine: behind a proxy of a company nothing else reaches the registries.
cp "$material"/certificates/* "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
cp /etc/resolv.conf "$root/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
# Whoever installs makes a cluster of their own; PostgreSQL comes after this is said.
echo 'create_main_cluster = false' >>"$root/etc/postgresql-common/createcluster.conf"
mount -t proc proc "$root/proc"
chroot "$root" /bin/sh -eu <<'INSIDE'
export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
update-ca-certificates
apt-get -q update
apt-get -q install -y --no-install-recommends postgresql
apt-get clean
useradd --create-home --shell /bin/bash ec2-user
echo 'ec2-user ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/90-ec2-user
chmod 440 /etc/sudoers.d/90-ec2-user
echo 'PasswordAuthentication no' >/etc/ssh/sshd_config.d/50-keys-only.conf
INSIDE
umount "$root/proc"
rm "$root/usr/sbin/policy-rc.d"

cp "$material/host-init" "$root/usr/local/sbin/host-init"
chmod 755 "$root/usr/local/sbin/host-init"
cp "$material/ssh-host-keys.service" "$root/etc/systemd/system/ssh-host-keys.service"
chroot "$root" systemctl enable ssh-host-keys.service
# Installed, but nothing runs until who installs the platform starts it.
chroot "$root" systemctl disable docker.service docker.socket containerd.service postgresql.service
# What would hold the package manager's lock at a time of its own.
chroot "$root" systemctl disable apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer

# Every host makes its own.
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id"
: >"$root/etc/machine-id"
ln -s /etc/machine-id "$root/var/lib/dbus/machine-id"
rm -rf "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/* "$root"/usr/share/locale/*

tar -C "$root" --exclude='./dev/*' -cf "$archive.new" .
mv "$archive.new" "$archive"
rm -rf "$root"
