#!/usr/bin/env bash
# Prints the path of a Bazel that runs on this machine, installing one first if
# there is none. Nothing is written outside the cache folder, root is not
# needed, and a second run only prints.
#
#   usage: install-bazel.sh
#
# Taken is the first of
#   1. $BAZEL, or bazel on the PATH;
#   2. bazelisk from the PATH, or from npm, where Bazel's releases can be reached;
#   3. Debian testing's packages of Bazel 7, unpacked into the cache folder and
#      pointed at each other: Bazel and the Java that runs it get the newer C
#      library by interpreter and rpath, so that what Bazel starts (compilers,
#      shells) still meets the machine's own.
#
#   TEST_CACHE     the cache folder, default ~/.cache/larder-test
#   BAZEL_FROM     "debian" skips 1 and 2
#   DEBIAN_MIRROR  default: the one in apt's own sources
#   DEBIAN_SUITE   default: forky, the testing suite as this was written
set -euo pipefail
shopt -s inherit_errexit

readonly layout=3 # raise it when this script's result changes
readonly bazelisk_version=7.7.1
suite=${DEBIAN_SUITE:-forky}
cache=${TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/larder-test}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
home=$cache/bazel-debian

say() { echo "install-bazel: $*" >&2; }
fail() { say "$*"; exit 1; }

# found prints the path of a Bazel that is there without any installing.
found() {
	if [ -n "${BAZEL:-}" ]; then
		command -v "$BAZEL" || fail "\$BAZEL is '$BAZEL', which is no program: unset it or correct it"
	else
		command -v bazel
	fi
}

# with_bazelisk prints the path of a program that runs a pinned Bazel by way of
# bazelisk. It gives up within seconds where releases cannot be downloaded.
with_bazelisk() {
	timeout 3 bash -c ': </dev/tcp/github.com/443' 2>/dev/null || return 1
	local isk
	isk=$(command -v bazelisk) || {
		command -v npm >/dev/null || return 1
		npm install --silent --no-fund --no-audit --prefix "$cache/bazelisk" @bazel/bazelisk >&2 || return 1
		isk=$cache/bazelisk/node_modules/.bin/bazelisk
	}
	local run=$cache/bazelisk-$bazelisk_version
	printf '#!/bin/sh\nUSE_BAZEL_VERSION=%s exec "%s" "$@"\n' "$bazelisk_version" "$isk" >"$run"
	chmod +x "$run"
	timeout 300 "$run" --version >&2 || return 1
	echo "$run"
}

# system_jdk prints the home of a JDK that is new enough to run Bazel.
system_jdk() {
	local java home
	for java in /usr/lib/jvm/*/bin/java; do
		[ -x "$java" ] || continue
		home=${java%/bin/java}
		grep -qsE '^JAVA_VERSION="(2[1-9]|[3-9][0-9])' "$home/release" && [ ! -L "$home" ] && { echo "$home"; return; }
	done
	return 1
}

mirror() {
	[ -n "${DEBIAN_MIRROR:-}" ] && { echo "$DEBIAN_MIRROR"; return; }
	# The archive that offers this release's main component, not its security one.
	apt-get indextargets --format '$(REPO_URI) $(LABEL) $(COMPONENT)' 2>/dev/null |
		awk '$2 == "Debian" && $3 == "main" { print $1; exit }'
}

# private_apt makes an apt of its own in $1: other sources, nothing installed.
private_apt() {
	local apt=$1 uri
	uri=$(mirror)
	[ -n "$uri" ] || fail "apt's sources name no Debian mirror: set DEBIAN_MIRROR, or BAZEL to a Bazel you have"
	mkdir -p "$apt"/{parts,prefs,sources.d,state/lists/partial,cache/archives/partial,debs}
	: >"$apt/state/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main" >"$apt/sources.list"
	# Release files of a mirror's snapshot may be past their date.
	cat >"$apt/apt.conf" <<-CONF
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "$apt/sources.d";
		Dir::Etc::parts "$apt/parts";
		Dir::Etc::preferencesparts "$apt/prefs";
		Dir::State "$apt/state";
		Dir::State::status "$apt/state/status";
		Dir::Cache "$apt/cache";
		APT::Architecture "amd64";
		APT::Architectures { "amd64"; };
		APT::Sandbox::User "root";
		Acquire::Check-Valid-Until "false";
		Acquire::Check-Date "false";
		Acquire::Languages "none";
		Acquire::Retries "3";
	CONF
	APT_CONFIG=$apt/apt.conf apt-get update -qq >&2
}

# wanted filters the names of Bazel's dependencies down to those it runs with;
# the others are compilers, and a whole Debian system.
wanted() {
	local keep='bazel-(bootstrap|bootstrap-data|platforms|features|skylib|rules-[a-z]+)'
	keep+='|libc6|libgcc-s1|libstdc\+\+6|zlib1g'
	keep+='|lib(absl|blake3|cares|grpc|protobuf|re2|ssl|zstd).*'
	keep+='|lib.*-java|velocity|libasync-profiler-jni'
	[ -n "$1" ] || keep+='|openjdk-[0-9]+-jre-headless|liblcms2-2|libjpeg62-turbo|libnspr4|libnss3|libpcsclite1|libcrypt1'
	grep -xE "$keep" | grep -vxE 'lib(maven|surefire|plexus|ant|wagon|bnd|osgi|spring).*-java|.*-dev'
}

# fetch unpacks Debian's packages below $2, with the private apt $1. $3 is the
# JDK to be used, if one was found.
fetch() {
	local apt=$1 root=$2 jdk=$3 deb packages
	# libblake3-0 is what the package's JNI library is linked with and its
	# dependencies do not name.
	packages=$(APT_CONFIG=$apt/apt.conf apt-get install -y --no-install-recommends --print-uris bazel-bootstrap libblake3-0 |
		sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p" | wanted "$jdk")
	# shellcheck disable=SC2086 # one word a package
	(cd "$apt/debs" && APT_CONFIG=$apt/apt.conf apt-get download -qq $packages >&2)
	for deb in "$apt"/debs/*.deb; do dpkg-deb -x "$deb" "$root"; done
}

# patchelf_program prints the path of patchelf, unpacked into $1 if need be. It
# comes from this machine's own release, so it runs as it is.
patchelf_program() {
	command -v patchelf && return
	mkdir -p "$1/own"
	(cd "$1/own" && { apt-get download -qq patchelf >&2 2>/dev/null || { apt-get update -qq >&2 && apt-get download -qq patchelf >&2; }; })
	dpkg-deb -x "$1"/own/patchelf_*.deb "$1/own"
	echo "$1/own/usr/bin/patchelf"
}

# relocate makes the packages below $1 run from where they are, with the JDK
# whose home is $2. It prints the home of the JDK to run Bazel with.
relocate() {
	local root=$1 jdk=$2 patchelf=$3 lib=$1/usr/lib/x86_64-linux-gnu loader program link
	loader=$(find "$root" -name ld-linux-x86-64.so.2 | head -n 1)
	point() { "$patchelf" --force-rpath --set-interpreter "$loader" --set-rpath "$2" "$1"; }
	for program in "$root"/usr/bin/bazel "$root"/usr/libexec/x86_64-linux-gnu/bazel/*; do point "$program" "$lib"; done
	if [ -n "$jdk" ]; then
		# A shadow of the machine's JDK, run with the new C library: Bazel's JNI
		# library, loaded into it, needs that.
		mkdir -p "$home/jdk/bin"
		cp -L "$jdk/bin/java" "$home/jdk/bin/java"
		for link in lib conf release; do ln -s "$jdk/$link" "$home/jdk/$link"; done
		jdk=$home/jdk
	else
		jdk=$(find "$root/usr/lib/jvm" -maxdepth 1 -type d -name 'java-*-openjdk-*' | head -n 1)
		find "$jdk/" -type l -lname '/etc/*' | while read -r link; do ln -sfn "$root$(readlink "$link")" "$link"; done
		point "$jdk/lib/jspawnhelper" "$lib:$jdk/lib:$jdk/lib/server"
	fi
	point "$jdk/bin/java" "$lib:$jdk/lib:$jdk/lib/server"
	echo "$jdk"
}

# classpath corrects the list of jars: its own paths, and the jars that Debian's
# jars name by absolute path in their manifests, which does not survive a move.
classpath() {
	local root=$1 list=$1/usr/share/bazel/bazel_classpath_debian_depends.txt jar
	sed -i "s#^/usr/share/java#$root/usr/share/java#" "$list"
	for jar in animal-sniffer-annotations error_prone_annotations failureaccess gson opencensus-api opencensus-contrib-grpc-metrics perfmark-api protobuf zstd-jni; do
		[ ! -e "$root/usr/share/java/$jar.jar" ] || grep -q "/$jar.jar\$" "$list" || echo "$root/usr/share/java/$jar.jar" >>"$list"
	done
}

# rc writes the options with which this Bazel resolves modules without a
# registry: Debian's overrides, and empty stubs for the modules that Debian has
# no package of and only a C++ or Apple toolchain would use.
rc() {
	local root=$1 module stub
	{
		grep '^common --override_module' "$root/etc/bazel/bazelrc" | sed "s#/usr/share/bazel#$root/usr/share/bazel#"
		for module in apple_support:1.23.1 buildozer:7.1.2 protobuf:21.7 zlib:1.3.1.bcr.3; do
			stub=$root/stubs/${module%%:*}
			mkdir -p "$stub"
			printf 'module(name = "%s", version = "%s")\n' "${module%%:*}" "${module#*:}" >"$stub/MODULE.bazel"
			: >"$stub/BUILD.bazel"
			echo "common --override_module=${module%%:*}=$stub"
		done
		echo "common --lockfile_mode=off --noenable_workspace"
		# The install lives below a folder that this option would hide.
		echo "build --noincompatible_sandbox_hermetic_tmp"
	} >"$home/bazelrc"
}

wrapper() {
	local root=$1 jdk=$2
	mkdir -p "$home/bin" "$home/jni"
	cp -L "$root"/usr/lib/x86_64-linux-gnu/libzstd-jni.so "$home/jni/"
	cat >"$home/bin/bazel" <<-RUN
		#!/bin/sh
		exec "$root/usr/bin/bazel" --nosystem_rc --bazelrc="$home/bazelrc" \\
			--install_base="$root/usr/share/bazel" --trust_install_base --server_javabase="$jdk" \\
			--host_jvm_args=-Djava.library.path="$root/usr/share/bazel:$home/jni" "\$@"
	RUN
	chmod +x "$home/bin/bazel"
}

install_debian() {
	local jdk stamp apt root patchelf
	[ "$(uname -m)" = x86_64 ] || fail "Debian's route needs x86_64, this is $(uname -m): set BAZEL to a Bazel you have"
	jdk=$(system_jdk || true)
	stamp="layout $layout, $suite, JDK ${jdk:-of Debian}"
	if [ "$(cat "$home/installed" 2>/dev/null)" != "$stamp" ]; then
		say "unpacking Debian's Bazel into $home ($stamp)"
		apt=$cache/apt root=$home/root
		rm -rf "$home" "$apt"
		mkdir -p "$root"
		private_apt "$apt"
		fetch "$apt" "$root" "$jdk"
		patchelf=$(patchelf_program "$apt")
		jdk=$(relocate "$root" "$jdk" "$patchelf")
		classpath "$root"
		rc "$root"
		wrapper "$root" "$jdk"
		rm -rf "$apt" "$root"/usr/share/{doc,man,maven-repo}
		echo "$stamp" >"$home/installed"
	fi
	echo "$home/bin/bazel"
}

# Two runs at once would unpack over each other.
exec 9>"$cache/bazel.lock"
flock 9
if [ "${BAZEL_FROM:-}" != debian ]; then
	found || with_bazelisk || install_debian
else
	install_debian
fi
