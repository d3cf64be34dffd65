#!/usr/bin/env bash
# Generates kharvest/wire/*_pb2* from proto/ into the folder given (default: the tree's root).
#
# The oldest generator whose code runs on every protobuf that we support: protobuf promises that code of one major runs
# on that major and the next. It needs an older protobuf than the rest of us use, so it has an environment of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
into=${1:-.}
environment=.venv-proto
if [ ! -e $environment/complete ]; then
    "${PYTHON:-python3}" -m venv --clear $environment
    $environment/bin/pip install --quiet --constraint proto/constraints.txt grpcio-tools mypy-protobuf setuptools
    touch $environment/complete
fi
PATH="$PWD/$environment/bin:$PATH" $environment/bin/python -m grpc_tools.protoc --proto_path=proto \
    --python_out="$into" --grpc_python_out="$into" \
    --mypy_out="quiet:$into" --mypy_grpc_out="quiet:$into" \
    proto/kharvest/wire/v2.proto proto/kharvest/wire/legacy.proto
