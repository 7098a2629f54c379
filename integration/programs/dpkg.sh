#!/bin/bash
# dpkg's data base.
set -e
dpkg -l | sha256sum
dpkg -l bash coreutils | tail -n 2
dpkg -L bash | head -n 5
dpkg -S /bin/bash
dpkg --verify bash coreutils | head -n 3
dpkg-query -W -f '${Package} ${Version}\n' python3 git
dpkg --print-architecture
