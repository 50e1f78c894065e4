#!/bin/sh
# Installs packages of Debian that the tests use, as root or by sudo; or says what to type.
#
#   tests/needs.sh WHAT PACKAGE...      with "The tests need WHAT." before what is to be typed
#
# The tests start what they need themselves, on ports and in directories of their own. So nothing that
# comes with the packages is started here, and what would listen at the next boot is not enabled.
set -eu
what=$1
shift
if [ "$(id -u)" != 0 ]; then
  if sudo -n true 2>/dev/null; then exec sudo -n "$0" "$what" "$@"; fi
  echo "The tests need $what. Run:  sudo $0 '$what' $*" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive

# Asked by every maintainer script before it starts a service. Who has one keeps it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

new=
for package; do
  dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || new="$new $package"
done
case " $new " in
  *" postgresql "*)
    # A cluster of the machine's is for its owner to make: pg_createcluster.
    mkdir -p /etc/postgresql-common/createcluster.d
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/no-main-cluster.conf ;;
esac
apt-get update -q
apt-get install -y -q --no-install-recommends "$@"
case " $new " in
  *" nginx-light "*) if command -v systemctl >/dev/null; then systemctl disable --quiet nginx.service; fi ;;
  *" redis-server "*) if command -v systemctl >/dev/null; then systemctl disable --quiet redis-server.service; fi ;;
esac
