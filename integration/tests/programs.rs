//! Programs from Debian, run inside from bundles and natively under `chroot`: they must say the same.

/// Makes a test for each script in `programs/`.
macro_rules! programs {
    ($($name:ident: $file:literal in $rootfs:ident),* $(,)?) => {
        #[cfg(test)]
        mod inside {
            use cloister_integration::Rootfs;
            $(#[test] fn $name() -> anyhow::Result<()> { super::compare($file, Rootfs::$rootfs) })*
        }
    };
}

programs! {
    archives: "archives.sh" in Dev,
    bash: "bash.sh" in Dev,
    busybox: "busybox.sh" in Small,
    compile: "compile.sh" in Dev,
    coreutils: "coreutils.sh" in Dev,
    dpkg: "dpkg.sh" in Dev,
    git: "git.sh" in Dev,
    make: "make.sh" in Dev,
    perl: "perl.pl" in Dev,
    procps: "procps.sh" in Dev,
    python: "python.py" in Dev,
    redis: "redis.sh" in Dev,
    sqlite: "sqlite.sh" in Dev,
    volume: "volume.sh" in Dev,
}

/// Runs the script natively and inside, and compares what comes out.
#[cfg(test)]
fn compare(file: &str, rootfs: cloister_integration::Rootfs) -> anyhow::Result<()> {
    use anyhow::{Context, bail};
    use cloister_integration::program::Access;
    use cloister_integration::{Place, Program, known, paths};

    let place = Place::under_test()?;
    let program = Program::new(rootfs, [format!("/guest/{file}")]).with_bind(
        &paths::crate_dir().join("programs"),
        "/guest",
        Access::ReadOnly,
    );
    let native = program.run(Place::Native).context("natively")?;
    let judged = program.run(place).context("inside").and_then(|inside| {
        if inside.stdout != native.stdout {
            bail!(
                "the output differs from the native one: {}\n{inside}",
                first_difference(&native.stdout, &inside.stdout)
            );
        }
        if inside.status != native.status {
            bail!("it ends otherwise than natively ({:?})\n{inside}", native.status);
        }
        Ok(())
    });
    known::judge_whole(place, &format!("programs/{file}"), judged)
}

/// The first line that is not the same.
#[cfg(test)]
fn first_difference(native: &str, inside: &str) -> String {
    let mut lines = native.lines().zip(inside.lines()).enumerate();
    match lines.find(|(_, (native, inside))| native != inside) {
        Some((number, (native, inside))) => format!("line {}: `{inside}` instead of `{native}`", number + 1),
        None => format!("{} lines instead of {}", inside.lines().count(), native.lines().count()),
    }
}
