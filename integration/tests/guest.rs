//! The guest programs of `guest/`, natively and inside a sandbox.

/// Makes the tests of areas: each natively, and inside a sandbox on each platform; those that depend on the file system are run
/// on one in memory and on a folder of the host.
macro_rules! areas {
    ($($area:ident),* ; on_both_file_systems: $($both:ident),*) => {
        /// On the host's kernel: what the programs demand is what Linux does.
        #[cfg(test)]
        mod native {
            use cloister_integration::guest::{On, check};
            use cloister_integration::Place;
            $(#[test] fn $area() -> anyhow::Result<()> { check(stringify!($area), Place::Native, On::Tmpfs) })*
            $(#[test] fn $both() -> anyhow::Result<()> { check(stringify!($both), Place::Native, On::Tmpfs) })*
        }

        /// On Cloister's kernel, by the ptrace platform.
        #[cfg(test)]
        mod ptrace {
            $(#[test] fn $area() -> anyhow::Result<()> { super::inside("ptrace", stringify!($area)) })*
            $(#[test] fn $both() -> anyhow::Result<()> { super::inside("ptrace", stringify!($both)) })*
        }

        /// On Cloister's kernel, by the systrap platform.
        #[cfg(test)]
        mod systrap {
            $(#[test] fn $area() -> anyhow::Result<()> { super::inside("systrap", stringify!($area)) })*
            $(#[test] fn $both() -> anyhow::Result<()> { super::inside("systrap", stringify!($both)) })*
        }

        /// On Cloister's kernel, in a folder of the host.
        #[cfg(test)]
        mod on_host_folder {
            use cloister_integration::guest::{On, check};
            use cloister_integration::Place;
            $(#[test] fn $both() -> anyhow::Result<()> {
                check(stringify!($both), Place::under_test()?, On::HostFolder)
            })*
        }
    };
}

#[cfg(test)]
fn inside(platform: &'static str, area: &str) -> anyhow::Result<()> {
    use cloister_integration::guest::{On, check};
    check(area, cloister_integration::Place::under_test()?.on(platform), On::Tmpfs)
}

areas! {
    call_sites, clone, credentials, epoll, events, exec, fork, futex, jobs, loopback, namespaces, poll, process, pty, restart, seccomp, signals,
    sysv, threads, timers, unix_sockets, wait;
    on_both_file_systems: files, inotify, locks, memory, metadata, names, pipes
}
