#!/usr/bin/env bash
# Puts Mesa's software GPU (subgroups of 8, shader-f16) beside Chromium's SwiftShader. Debian 12's own Mesa gives
# WebGPU no adapter, that of its backports does: unpacked, not installed, into node_modules/.cache, from the mirror that
# apt is set up with. Where there are no backports, the reason is left there for the tests to print.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$PWD/node_modules/.cache/edge-ssm/lavapipe
[ ! -e "$folder/icd.json" ] || exit 0
rm -rf "$folder"
mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/apt/parts"

absent() {
  rm -rf "$folder/apt" "$folder/root"
  echo "$1" | tee "$folder/absent.txt"
  exit 0
}

if [ -r /etc/os-release ]; then . /etc/os-release; fi
[ "${ID:-}" = debian ] && [ -n "${VERSION_CODENAME:-}" ] || absent "lavapipe is taken from Debian's backports: not Debian"
mirror=$(apt-get update --print-uris -o Debug::NoLocking=1 2>/dev/null |
  sed -n "s|^'\\(.*\\)/dists/$VERSION_CODENAME/InRelease' .*|\\1|p" | head -n 1) # also where its lists are not there
[ -n "$mirror" ] || absent "apt has no source of $VERSION_CODENAME, thus no mirror to ask for its backports"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
for suite in "$VERSION_CODENAME" "$VERSION_CODENAME-backports"; do
  if [ -r "$keyring" ]; then signed="[signed-by=$keyring] "; else signed=''; fi
  echo "deb $signed$mirror $suite main"
done >"$folder/apt/sources.list"

# Lists and packages of its own: the system's apt is left as it is, and no root is needed.
apt() {
  apt-get -q -o Dir::Etc::SourceList="$folder/apt/sources.list" -o Dir::Etc::SourceParts="$folder/apt/parts" \
    -o Dir::Etc::PreferencesParts="$folder/apt/parts" -o Dir::State::Lists="$folder/apt/lists" \
    -o Dir::Cache="$folder/apt/cache" -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 "$@"
}
apt update || absent "the mirror of $VERSION_CODENAME has no backports"
apt install -y --download-only --no-install-recommends -t "$VERSION_CODENAME-backports" mesa-vulkan-drivers ||
  absent "no Mesa in the backports of $VERSION_CODENAME"
for package in "$folder"/apt/cache/archives/*.deb; do dpkg -x "$package" "$folder/root"; done
rm -rf "$folder/apt"

driver=$(find "$folder/root" -name libvulkan_lvp.so | head -n 1)
[ -n "$driver" ] || absent "the Mesa in the backports of $VERSION_CODENAME has no lavapipe (or Mesa is installed already)"
ln -s "$(dirname "$driver")" "$folder/lib" # what the driver needs and the system lacks: for LD_LIBRARY_PATH
echo "{ \"file_format_version\": \"1.0.0\", \"ICD\": { \"library_path\": \"$driver\", \"api_version\": \"1.3.0\" } }" \
  >"$folder/icd.json" # last: everything is there
