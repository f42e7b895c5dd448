#!/usr/bin/env bash
# Cuts the power of real file systems in use: as root, on a machine with loop
# devices, FUSE, mkfs.ext4 and mkfs.xfs. The argument is how many cuts each
# file system gets (default 500).
set -euo pipefail
cd "$(dirname "$0")"
MACHREG_FAULTS_POWERCUTS=${1:-500} exec go test -count=1 -timeout 4h -run '^TestPowerCuts$' -v .
