#!/bin/bash
# git: init, add, commit, branch, merge, clone, log, gc.
set -e
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org
export GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z' GIT_CONFIG_GLOBAL=/dev/null
cd /work
git init -q -b main repo
cd repo
for i in $(seq 1 100); do mkdir -p "d$((i % 10))"; echo "content $i" > "d$((i % 10))/file$i"; done
git add .
git commit -q -m first
git rev-parse HEAD
echo changed >> d1/file1
git mv d2/file2 moved
git status --short
git commit -q -am second
git checkout -q -b side HEAD~1
echo side > side
git add side
git commit -q -m side
git checkout -q main
git merge -q -m merge side
git log --oneline --graph
git diff --stat HEAD~1
git clone -q /work/repo /work/clone
git -C /work/clone log --format=%H | sha256sum
git gc -q
git count-objects -v | grep -v size
git fsck 2>&1 | grep -v '^Checking' || true
git -C /work/clone fetch -q
git grep -c content | wc -l
git archive HEAD | tar t | wc -l
git rev-parse HEAD
