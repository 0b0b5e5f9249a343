# shellcheck shell=bash
# What the machine has and lacks, for `servers`, which has say and die.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
pom=$root/deploy/dev/pom.xml
jars=$root/target/kafka

java_bin() {
  local java version
  for java in "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
    [[ -x $java ]] || continue
    version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
    if ((${version:-0} >= 17)); then # Kafka 4 brokers do not run on less
      echo "$java"
      return
    fi
  done
  return 1
}

# The newest PostgreSQL: distributions keep its server programs off the PATH.
postgres_bin() {
  local found
  found=$(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort -V | tail -n 1)
  [[ -x $found ]] || found=$(command -v postgres) || return 1
  dirname "$found"
}

missing_packages() {
  need() { command -v "$1" >/dev/null || echo "$2"; }
  need cc gcc
  need g++ g++ # librdkafka's configure asks for it
  need make make
  need curl curl
  need setpriv util-linux
  need redis-server redis-server
  need mvn maven
  need node nodejs
  need npm npm
  need shellcheck shellcheck
  [[ -e /etc/ssl/certs/ca-certificates.crt ]] || echo ca-certificates
  postgres_bin >/dev/null || echo postgresql
  command -v chromium chromium-browser google-chrome >/dev/null || echo chromium
  java_bin >/dev/null || echo jre
}

# A Java that Kafka takes: some releases' default is older than 17, and some no longer have 17.
jre_package() {
  if grep -q 'Candidate: [^(]' < <(apt-cache policy openjdk-17-jre-headless); then
    echo openjdk-17-jre-headless
  else
    echo default-jre-headless
  fi
}

install_missing() {
  local packages sudo=() i
  mapfile -t packages < <(missing_packages)
  if ((${#packages[@]})); then
    command -v apt-get >/dev/null || die "this needs apt; without it please install: ${packages[*]}"
    if ((EUID != 0)); then
      command -v sudo >/dev/null || die "please run as root: apt-get install ${packages[*]/jre/default-jre-headless}"
      sudo=(sudo)
    fi
    "${sudo[@]}" apt-get update -qq </dev/null
    for i in "${!packages[@]}"; do
      [[ ${packages[i]} != jre ]] || packages[i]=$(jre_package)
    done
    say "installing with apt: ${packages[*]}"
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null >&2
  else
    say "no package is missing"
  fi
  command -v cargo >/dev/null || say "Rust is missing: https://rustup.rs"
  node -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)' ||
    die "the browser tests need Node.js 18 or later, this is $(node --version): https://nodejs.org"
  fetch_jars
}

# The jars stay in target/kafka until the pom changes. The lock lets two runs meet here, the rename leaves no half copy.
fetch_jars() (
  if cmp -s "$pom" "$jars/pom.xml"; then
    return
  fi
  mkdir -p "$root/target"
  exec 9>"$root/target/.kafka-jars.lock"
  flock 9
  if cmp -s "$pom" "$jars/pom.xml"; then
    return
  fi
  say "fetching Apache Kafka from Maven Central into target/kafka"
  rm -rf "$jars" "$jars.new"
  mvn -q -B -Dstyle.color=never -f "$pom" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$jars.new" \
    </dev/null 2>&1 | sed 's/\x1b\[[0-9;]*m//g; /^$/d' >&2 # Maven resets colours even where there are none
  cp "$pom" "$jars.new/pom.xml"
  mv "$jars.new" "$jars"
)
