#!/bin/bash
# tar with its compressors; xz with two threads.
set -e
cd /work
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf tree.tar -C /usr/lib python3.11
for tool in gzip "xz -1 -T2" bzip2; do
	command -v ${tool%% *} >/dev/null || continue
	$tool -k tree.tar
done
ls tree.tar*
gzip -dc tree.tar.gz | cmp - tree.tar && echo "gzip is the same"
xz -dc -T2 tree.tar.xz | cmp - tree.tar && echo "xz is the same"
tar tzf tree.tar.gz | wc -l
sha256sum < tree.tar
