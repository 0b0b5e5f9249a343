# shellcheck shell=bash
# Finds and installs the programs that `servers` and the tests need. Uses its `say` and `die`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
pom=$root/deploy/dev/pom.xml
jars=$root/target/kafka
tools=$root/target/tools/bin
# The oldest Go 1.x that builds k6 and the client in gateway/tests/go, and the version that is
# fetched when the machine has none.
go_minor=25
go_fetched=1.25.12

java_bin() {
  local java version
  for java in "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
    [[ -x $java ]] || continue
    version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
    if ((${version:-0} >= 17)); then # brokers of Kafka 4 need 17
      echo "$java"
      return
    fi
  done
  return 1
}

# Whether there is a compiler for the Java client in the tests, which is written for 17.
javac_is_new() {
  local version
  version=$(javac -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')
  ((${version:-0} >= 17))
}

# go_is_new PROGRAM: whether this Go is new enough.
go_is_new() {
  local version
  version=$(cd / && "$1" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
  ((${version:-0} >= go_minor))
}

# Prints the directory of the newest PostgreSQL: distributions do not put its server programs on the
# PATH.
postgres_bin() {
  local found
  found=$(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort -V | tail -n 1)
  [[ -x $found ]] || found=$(command -v postgres) || return 1
  dirname "$found"
}

missing_packages() {
  need() { command -v "$1" >/dev/null || echo "$2"; }
  need cc gcc
  need g++ g++ # for the configure script of librdkafka
  need make make
  need curl curl
  need openssl openssl
  need pkg-config pkg-config
  [[ -e /usr/include/openssl/ssl.h ]] || echo libssl-dev # for TLS and SCRAM of librdkafka
  need setpriv util-linux
  need jq jq
  need systemd-analyze systemd # to check units
  need redis-server redis-server
  PATH=$PATH:/usr/sbin need nginx nginx
  need mvn maven
  need go golang-go
  need node nodejs
  need npm npm
  need shellcheck shellcheck
  [[ -e /etc/ssl/certs/ca-certificates.crt ]] || echo ca-certificates
  postgres_bin >/dev/null || echo postgresql
  command -v chromium chromium-browser google-chrome >/dev/null || echo chromium
  fc-list :lang=hi file 2>/dev/null | grep -q . || echo fonts-noto-core # for pages in Hindi
  python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  { java_bin && javac_is_new; } >/dev/null || echo jdk
}

# The package of a Java that Kafka supports. The default Java of some releases is older than 17, and
# some releases no longer have 17.
jdk_package() {
  if grep -q 'Candidate: [^(]' < <(apt-cache policy openjdk-17-jdk-headless); then
    echo openjdk-17-jdk-headless
  else
    echo default-jdk-headless
  fi
}

install_missing() {
  local packages sudo=() i
  mapfile -t packages < <(missing_packages)
  if ((${#packages[@]})); then
    command -v apt-get >/dev/null || die "this needs apt; without it please install: ${packages[*]}"
    if ((EUID != 0)); then
      command -v sudo >/dev/null ||
        die "please run as root: apt-get install ${packages[*]/jdk/default-jdk-headless}"
      sudo=(sudo)
    fi
    "${sudo[@]}" apt-get update -qq </dev/null
    for i in "${!packages[@]}"; do
      [[ ${packages[i]} != jdk ]] || packages[i]=$(jdk_package)
    done
    say "installing with apt: ${packages[*]}"
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null >&2
    # The package of nginx starts a server on port 80. The tests start their own.
    [[ " ${packages[*]} " != *" nginx "* ]] ||
      "${sudo[@]}" systemctl disable -q --now nginx 2>/dev/null || true # in a container
  else
    say "no package is missing"
  fi
  command -v cargo >/dev/null || say "Rust is missing: https://rustup.rs"
  node -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)' ||
    die "the browser tests need Node.js 18 or later, this is $(node --version): https://nodejs.org"
  fetch_jars
  fetch_go
}

# Fetches a newer Go when that of the distribution is too old. It comes as the toolchain module that
# newer Go versions fetch by themselves. `make` finds it in target/tools/bin.
fetch_go() {
  local go dir module
  go=$(command -v go)
  if go_is_new "$go" || go_is_new "$tools/go"; then
    return
  fi
  say "fetching Go $go_fetched"
  go=$(realpath "$go")
  module=golang.org/toolchain@v0.0.1-go$go_fetched.linux-$("$go" env GOARCH)
  dir=$(cd / && "$go" mod download -json "$module" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  # Files of a module are not executable.
  find "$dir/bin" "$dir/pkg/tool" -type f -exec chmod 755 {} +
  mkdir -p "$tools"
  ln -sfn "$dir/bin/go" "$dir/bin/gofmt" "$tools/"
}

# Fetches the jars of Kafka into target/kafka, where they stay until the pom changes. The lock makes
# two runs wait for each other, and the rename leaves no incomplete copy.
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
  # Maven writes colour resets even without colours, so they are removed.
  mvn -q -B -Dstyle.color=never -f "$pom" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$jars.new" </dev/null 2>&1 |
    sed 's/\x1b\[[0-9;]*m//g; /^$/d' >&2
  cp "$pom" "$jars.new/pom.xml"
  mv "$jars.new" "$jars"
)
