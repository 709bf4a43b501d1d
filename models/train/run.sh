#!/bin/sh
# The whole recipe: [GPUS=2] ./run.sh TEXTS OUT [options of train.py]. Run again after an interruption, it goes on where it can.
set -eu
here=$(dirname "$0"); texts=$1; out=$2; shift 2
[ $# -gt 0 ] || set -- --steps 18000
python=${PYTHON:-python3}; launch=
[ "${GPUS:-1}" -eq 1 ] || launch="-m torch.distributed.run --standalone --nproc-per-node $GPUS"
[ -f "$out/data/data.json" ] || "$python" "$here/data.py" "$texts" "$out/data"
# shellcheck disable=SC2086
[ -f "$out/run/train.json" ] || "$python" $launch "$here/train.py" "$out/data" "$out/run" "$@"
books=; [ ! -f "$texts/books.list.txt" ] || books="--books $texts/books.list.txt"
# shellcheck disable=SC2086
"$python" "$here/export.py" "$out/run" "$out/data" "$out/model" $books
