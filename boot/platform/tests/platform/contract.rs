//! Memory, threads and traps: what every platform does.

use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_abi::{Registers, errno};
use cloister_platform::{AddressSpace, Backing, Exception, FpuState, Mapping, Protection, Trap};

use crate::common::{CODE, DATA, PAGE, RW, Sandbox, file_of, pages, start};
use crate::stub::children;

/// Makes the tests, on each platform.
macro_rules! on_each_platform {
    ($($name:ident),* $(,)?) => {
        mod ptrace {
            $(#[test] fn $name() { super::$name(&crate::common::Sandbox::on_ptrace()); })*
        }
        mod systrap {
            $(#[test] fn $name() { super::$name(&crate::common::Sandbox::on_systrap()); })*
        }
    };
}

on_each_platform! {
    mapped_memory_is_zero_and_keeps_what_is_written, copies_end_where_memory_ends,
    a_system_call_traps_with_its_registers, faults_are_reported_with_code_and_address,
    breakpoints_bad_instructions_and_divisions_are_reported, the_trap_flag_steps_one_instruction,
    other_entries_of_the_host_kernel_are_closed, a_call_of_the_vsyscall_page_traps,
    hostile_registers_are_taken_and_made_harmless, a_copy_shares_nothing_private,
    files_are_mapped_shared_and_private, mappings_are_made_together, a_mapping_that_fails_ends_a_list,
    mappings_move_grow_and_shrink,
    ranges_that_are_not_the_guests_are_refused, advice_reaches_the_host,
    words_are_compared_and_exchanged, threads_share_memory_and_trap_each_by_itself,
    a_busy_thread_can_be_interrupted, another_host_thread_can_resume,
    a_thread_that_was_ended_does_not_trap, a_thread_after_one_that_ended_begins_anew,
    vector_registers_are_kept_and_hostile_ones_refused
}

fn mapped_memory_is_zero_and_keeps_what_is_written(sandbox: &Sandbox) {
    let space = sandbox.space();
    space.map(pages(DATA, 2), RW, Backing::Anonymous).unwrap();
    let mut bytes = [1; 8];
    assert_eq!(space.read(DATA + PAGE - 4, &mut bytes), 8);
    assert_eq!(bytes, [0; 8]);
    assert_eq!(space.write(DATA + PAGE - 4, b"cloister"), 8);
    assert_eq!(space.read(DATA + PAGE - 4, &mut bytes), 8);
    assert_eq!(&bytes, b"cloister");
}

fn copies_end_where_memory_ends(sandbox: &Sandbox) {
    let space = sandbox.space();
    space.map(pages(DATA, 1), RW, Backing::Anonymous).unwrap();
    let mut bytes = [0; 8192];
    assert_eq!(space.read(DATA + 100, &mut bytes), 3996);
    assert_eq!(space.write(DATA + 100, &bytes), 3996);
    assert_eq!(space.read(DATA + PAGE, &mut bytes), 0);
    assert_eq!(space.read(u64::MAX - 4, &mut bytes), 0);
    space.protect(pages(DATA, 1), Protection::READ).unwrap();
    assert_eq!(space.write(DATA, b"x"), 0);
    assert_eq!(space.read(DATA, &mut bytes[..1]), 1);
}

fn a_system_call_traps_with_its_registers(sandbox: &Sandbox) {
    // syscall; jmp back
    let (space, thread) = sandbox.program(&[0x0f, 0x05, 0xeb, 0xfc]);
    for number in [39, 0x1234_5678_9abc] {
        let registers = Registers { rax: number, rdi: 1, rsi: 2, rdx: 3, r10: 4, r8: 5, r9: 6, ..start() };
        thread.resume(&registers);
        let (trap, registers) = sandbox.next_trap();
        assert_eq!(trap, Trap::Syscall);
        assert_eq!(registers.syscall_number(), number);
        assert_eq!(registers.syscall_arguments(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(registers.rip, CODE + 2);
    }
    drop(space);
}

fn faults_are_reported_with_code_and_address(sandbox: &Sandbox) {
    // mov byte ptr [rdi], 1
    let (space, thread) = sandbox.program(&[0xc6, 0x07, 0x01, 0x0f, 0x05]);
    let exception = |signal, code, address| Trap::Exception(Exception { signal, code, address });
    thread.resume(&Registers { rdi: 0x1000_0000, ..start() });
    let (trap, registers) = sandbox.next_trap();
    assert_eq!(trap, exception(libc::SIGSEGV, 1, 0x1000_0000)); // SEGV_MAPERR
    assert_eq!((registers.rip, registers.orig_rax), (CODE, u64::MAX));

    space.protect(pages(DATA, 1), Protection::READ).unwrap();
    thread.resume(&Registers { rdi: DATA + 8, ..start() });
    assert_eq!(sandbox.next_trap().0, exception(libc::SIGSEGV, 2, DATA + 8)); // SEGV_ACCERR

    space.protect(pages(DATA, 1), RW).unwrap();
    thread.resume(&Registers { rdi: DATA + 8, ..start() });
    assert_eq!(sandbox.next_trap().0, Trap::Syscall);
    let mut byte = [0];
    space.read(DATA + 8, &mut byte);
    assert_eq!(byte, [1]);
}

fn breakpoints_bad_instructions_and_divisions_are_reported(sandbox: &Sandbox) {
    // int3; ud2; xor edi, edi; div edi
    let (_space, thread) = sandbox.program(&[0xcc, 0x0f, 0x0b, 0x31, 0xff, 0xf7, 0xf7]);
    for (at, signal, end) in [(0, libc::SIGTRAP, 1), (1, libc::SIGILL, 1), (3, libc::SIGFPE, 5)] {
        thread.resume(&Registers { rip: CODE + at, ..start() });
        let (trap, registers) = sandbox.next_trap();
        let Trap::Exception(exception) = trap else { panic!("{trap:?}") };
        assert_eq!(exception.signal, signal);
        assert_eq!(registers.rip, CODE + end);
    }
}

fn the_trap_flag_steps_one_instruction(sandbox: &Sandbox) {
    // nop; nop; syscall
    let (_space, thread) = sandbox.program(&[0x90, 0x90, 0x0f, 0x05]);
    let mut registers = Registers { eflags: Registers::INITIAL_EFLAGS | 0x100, ..start() };
    for end in 1..=2 {
        thread.resume(&registers);
        let (trap, now) = sandbox.next_trap();
        assert!(matches!(trap, Trap::Exception(Exception { signal: libc::SIGTRAP, .. })), "{trap:?}");
        assert_eq!(now.rip, CODE + end);
        registers = now;
    }
    thread.resume(&registers);
    assert_eq!(sandbox.next_trap().0, Trap::Syscall);
}

fn other_entries_of_the_host_kernel_are_closed(sandbox: &Sandbox) {
    // int 0x80; sysenter
    let (_space, thread) = sandbox.program(&[0xcd, 0x80, 0x0f, 0x34]);
    for at in [0, 2] {
        // 1 is exit in the 32-bit table, write in the 64-bit one.
        thread.resume(&Registers { rax: 1, rip: CODE + at, ..start() });
        let (trap, _) = sandbox.next_trap();
        let Trap::Exception(exception) = trap else { panic!("{trap:?}") };
        assert!([libc::SIGSEGV, libc::SIGILL].contains(&exception.signal), "{exception:?}");
    }
}

fn a_call_of_the_vsyscall_page_traps(sandbox: &Sandbox) {
    // mov rax, 0xffffffffff600400 (time); call rax
    let mut code = vec![0x48, 0xb8];
    code.extend(0xffff_ffff_ff60_0400_u64.to_le_bytes());
    code.extend([0xff, 0xd0]);
    let (_space, thread) = sandbox.program(&code);
    thread.resume(&start());
    let (trap, registers) = sandbox.next_trap();
    match trap {
        Trap::Syscall => {
            assert_eq!(registers.syscall_number(), 201);
            assert_eq!((registers.rip, registers.rsp), (CODE + 12, DATA + PAGE));
        }
        // A host without the page.
        Trap::Exception(exception) => assert_eq!(exception.signal, libc::SIGSEGV),
        other => panic!("{other:?}"),
    }
}

fn hostile_registers_are_taken_and_made_harmless(sandbox: &Sandbox) {
    let (_space, thread) = sandbox.program(&[0x0f, 0x05]);
    let all = u64::MAX;
    let hostile =
        Registers { cs: 8, ss: 0, ds: 1, es: all, fs: 7, gs: 9, fs_base: all, gs_base: all, ..start() };
    thread.resume(&Registers { eflags: all & !0x100, orig_rax: 59, ..hostile });
    let (trap, registers) = sandbox.next_trap();
    assert_eq!(trap, Trap::Syscall);
    assert_eq!((registers.cs, registers.ss), (Registers::USER_CS, Registers::USER_SS));
    assert_eq!(registers.eflags & 0x3000, 0, "no I/O privilege");
    thread.resume(&Registers { rip: 1 << 63, ..start() });
    assert!(matches!(sandbox.next_trap().0, Trap::Exception(_)));
}

fn a_copy_shares_nothing_private(sandbox: &Sandbox) {
    let space = sandbox.space();
    let file = file_of(&[0; 4096]);
    space.map(pages(DATA, 1), RW, Backing::Anonymous).unwrap();
    space.map(pages(DATA + PAGE, 1), RW, Backing::Shared { file: file.as_fd(), offset: 0 }).unwrap();
    space.write(DATA, b"both");
    let copy = space.fork().unwrap();
    space.write(DATA, b"mine");
    copy.write(DATA + PAGE, b"ours");
    let read = |space: &Arc<dyn AddressSpace>, at| {
        let mut bytes = [0; 4];
        assert_eq!(space.read(at, &mut bytes), 4);
        bytes
    };
    assert_eq!(&read(&space, DATA), b"mine");
    assert_eq!(&read(&copy, DATA), b"both");
    assert_eq!(&read(&space, DATA + PAGE), b"ours");
    drop(space);
    assert_eq!(&read(&copy, DATA), b"both");
}

fn files_are_mapped_shared_and_private(sandbox: &Sandbox) {
    let space = sandbox.space();
    let mut contents = vec![b'a'; 4096];
    contents.extend([b'b'; 4096]);
    let file = file_of(&contents);
    let shared = Backing::Shared { file: file.as_fd(), offset: 4096 };
    space.map(pages(DATA, 1), RW, shared).unwrap();
    space.map(pages(DATA + PAGE, 1), RW, Backing::Private { file: file.as_fd(), offset: 0 }).unwrap();
    space.write(DATA, b"shared");
    space.write(DATA + PAGE, b"private");
    let mut bytes = [0; 7];
    file.read_exact_at(&mut bytes, 4096).unwrap();
    assert_eq!(&bytes, b"sharedb");
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"aaaaaaa");
    space.read(DATA + PAGE, &mut bytes);
    assert_eq!(&bytes, b"private");

    let unreadable = std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
    let backing = Backing::Private { file: unreadable.as_fd(), offset: 0 };
    assert_eq!(space.map(pages(DATA, 1), RW, backing), Err(errno::EACCES));
}

/// Reads the first byte of a page, if it can be read.
fn first_byte(space: &dyn AddressSpace, page: u64) -> Option<u8> {
    let mut byte = [0];
    (space.read(DATA + page * PAGE, &mut byte) == 1).then_some(byte[0])
}

fn mappings_are_made_together(sandbox: &Sandbox) {
    let files = [b'a', b'b'].map(|letter| file_of(&[letter; 4096]));
    // More than fit one list, of two files in turn, and some of neither; a later one replaces an earlier one.
    let mapping = |number: u64, page: u64| {
        let file = files[usize::from(number % 4 >= 2)].as_fd();
        let backing = match number % 4 {
            3 => Backing::Anonymous,
            1 => Backing::Shared { file, offset: 0 },
            _ => Backing::Private { file, offset: 0 },
        };
        Mapping { range: pages(DATA + page * PAGE, 1), protection: RW, backing }
    };
    let all: Vec<_> = (0..100).map(|number| mapping(number, number)).chain([mapping(3, 50)]).collect();
    let assert_all = |space: &dyn AddressSpace| {
        let expected = |number| match number % 4 {
            _ if number == 50 => 0,
            0 | 1 => b'a',
            2 => b'b',
            _ => 0,
        };
        (0..100).for_each(|number| assert_eq!(first_byte(space, number), Some(expected(number)), "{number}"));
        assert_eq!(first_byte(space, 100), None);
    };
    let space = sandbox.space();
    space.map_all(&[]).unwrap();
    space.map_all(&all).unwrap();
    assert_all(&*space);

    // The same where a thread is, and in a copy without one.
    let (inhabited, thread) = sandbox.program(&[0x0f, 0x0b]);
    inhabited.map_all(&all).unwrap();
    assert_all(&*inhabited);
    thread.exit();
    let copy = inhabited.fork().unwrap();
    copy.unmap(pages(DATA, 100)).unwrap();
    copy.map_all(&all).unwrap();
    assert_all(&*copy);
}

/// Returns a private mapping of a page.
fn of(file: &std::fs::File, page: u64) -> Mapping<'_> {
    let backing = Backing::Private { file: file.as_fd(), offset: 0 };
    Mapping { range: pages(DATA + page * PAGE, 1), protection: RW, backing }
}

fn a_mapping_that_fails_ends_a_list(sandbox: &Sandbox) {
    let space = sandbox.space();
    let good = file_of(&[b'g'; 4096]);
    let bad = std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
    let list = [of(&good, 0), of(&bad, 1), of(&good, 2), of(&bad, 3)];
    assert_eq!(space.map_all(&list), Err(errno::EACCES));
    // No descriptor of the list is left that could be taken for that of another mapping.
    assert_eq!([0, 1, 2].map(|page| first_byte(&*space, page)), [Some(b'g'), None, None]);
    let other = file_of(&[b'o'; 4096]);
    let of_other = of(&other, 5);
    space.map(of_other.range, RW, of_other.backing).unwrap();
    assert_eq!(first_byte(&*space, 5), Some(b'o'));
    let another = sandbox.space();
    another.map_all(&[of(&other, 0), of(&good, 1)]).unwrap();
    assert_eq!([0, 1].map(|page| first_byte(&*another, page)), [Some(b'o'), Some(b'g')]);

    // One that is not the guest's is found before anything is mapped.
    let outside = Mapping { range: 0..PAGE, protection: RW, backing: Backing::Anonymous };
    assert_eq!(another.map_all(&[of(&good, 2), outside]), Err(errno::EINVAL));
    assert_eq!(first_byte(&*another, 2), None);
}

fn mappings_move_grow_and_shrink(sandbox: &Sandbox) {
    let space = sandbox.space();
    space.map(pages(DATA, 2), RW, Backing::Anonymous).unwrap();
    space.write(DATA, b"data");
    let mut bytes = [0; 4];
    let far = DATA + 64 * PAGE;
    space.remap(pages(DATA, 2), pages(far, 3)).unwrap();
    assert_eq!(space.read(DATA, &mut bytes), 0);
    assert_eq!(space.read(far, &mut bytes), 4);
    assert_eq!(&bytes, b"data");
    assert_eq!(space.write(far + 3 * PAGE - 4, b"tail"), 4);
    space.map(pages(far + 3 * PAGE, 1), RW, Backing::Anonymous).unwrap();
    space.remap(pages(far, 3), pages(far, 4)).unwrap();
    assert_eq!(space.write(far + 4 * PAGE - 4, b"tail"), 4);
    space.remap(pages(far, 4), pages(far, 1)).unwrap();
    assert_eq!(space.read(far + PAGE, &mut bytes), 0);
    space.unmap(pages(far, 1)).unwrap();
    assert_eq!(space.read(far, &mut bytes), 0);
}

fn ranges_that_are_not_the_guests_are_refused(sandbox: &Sandbox) {
    let space = sandbox.space();
    let end = space.range().end;
    for range in
        [0..PAGE, DATA..DATA, DATA..DATA + 1, end..end + PAGE, end - PAGE..end + PAGE, PAGE..u64::MAX]
    {
        let map = space.map(range.clone(), RW, Backing::Anonymous);
        assert_eq!(map, Err(errno::EINVAL), "{range:x?}");
        assert_eq!(space.unmap(range.clone()), Err(errno::EINVAL));
        assert_eq!(space.protect(range.clone(), RW), Err(errno::EINVAL));
        assert_eq!(space.advise(range.clone(), 0), Err(errno::EINVAL));
        assert_eq!(space.remap(range.clone(), pages(DATA, 1)), Err(errno::EINVAL));
    }
}

fn advice_reaches_the_host(sandbox: &Sandbox) {
    let space = sandbox.space();
    space.map(pages(DATA, 1), RW, Backing::Anonymous).unwrap();
    space.write(DATA, b"x");
    space.advise(pages(DATA, 1), libc::MADV_DONTNEED).unwrap();
    let mut byte = [1];
    space.read(DATA, &mut byte);
    assert_eq!(byte, [0]);
    assert_eq!(space.advise(pages(DATA, 1), 9999), Err(errno::EINVAL));
}

fn words_are_compared_and_exchanged(sandbox: &Sandbox) {
    let space = sandbox.space();
    space.map(pages(DATA, 1), RW, Backing::Anonymous).unwrap();
    assert_eq!(space.compare_exchange(DATA, 0, 7), Ok(0));
    assert_eq!(space.compare_exchange(DATA, 0, 8), Ok(7));
    assert_eq!(space.compare_exchange(DATA, 7, u32::MAX), Ok(7));
    assert_eq!(space.compare_exchange(DATA, 7, 0), Ok(u32::MAX));
    for address in [0, DATA + 1, DATA + PAGE, u64::MAX - 3, space.range().end] {
        assert_eq!(space.compare_exchange(address, 0, 1), Err(errno::EFAULT));
    }
    space.protect(pages(DATA, 1), Protection::READ).unwrap();
    assert_eq!(space.compare_exchange(DATA, 0, 1), Err(errno::EFAULT));
}

fn threads_share_memory_and_trap_each_by_itself(sandbox: &Sandbox) {
    // lock inc dword ptr [rdi]; syscall
    let (space, first) = sandbox.program(&[0xf0, 0xff, 0x07, 0x0f, 0x05]);
    let mut threads = vec![first];
    threads.extend((1..20).map(|number| sandbox.spawn(&space, number)));
    for thread in &threads {
        thread.resume(&Registers { rdi: DATA, ..start() });
    }
    let mut seen: Vec<_> = (0..20).map(|_| sandbox.next_trap_of_any().0).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
    let mut count = [0; 4];
    space.read(DATA, &mut count);
    assert_eq!(u32::from_le_bytes(count), 20);
}

/// Returns whether a process runs, or would if it had a processor.
fn is_running(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.starts_with('R')
}

fn a_busy_thread_can_be_interrupted(sandbox: &Sandbox) {
    let (_space, thread) = sandbox.program(&[0xeb, 0xfe, 0x0f, 0x05]);
    thread.interrupt(); // stopped: forgotten
    thread.resume(&start());
    assert_eq!(sandbox.trap_within(Duration::from_millis(20)), None);
    thread.interrupt();
    let (trap, registers) = sandbox.next_trap();
    assert_eq!((trap, registers.rip), (Trap::Interrupted, CODE));
    // Once only.
    thread.resume(&start());
    assert_eq!(sandbox.trap_within(Duration::from_millis(20)), None);
    // From another host thread.
    std::thread::scope(|scope| {
        scope.spawn(|| thread.interrupt());
        assert_eq!(sandbox.next_trap().0, Trap::Interrupted);
    });
    // Its time is counted, however little the host gives it.
    let until = Instant::now() + Duration::from_secs(10);
    while thread.cpu_time().user < Duration::from_millis(10) {
        assert!(Instant::now() < until, "{:?}", thread.cpu_time());
        thread.resume(&start());
        assert_eq!(sandbox.trap_within(Duration::from_millis(5)), None);
        thread.interrupt();
        assert_eq!(sandbox.next_trap().0, Trap::Interrupted);
    }
    // An interrupt that comes after the thread has stopped by itself is forgotten, though the host has it.
    let pid = *children().last().unwrap();
    thread.resume(&Registers { rip: CODE + 2, ..start() });
    while is_running(pid) {
        std::thread::yield_now();
    }
    thread.interrupt();
    assert_eq!(sandbox.next_trap().0, Trap::Syscall);
    thread.resume(&start());
    assert_eq!(sandbox.trap_within(Duration::from_millis(20)), None);
}

fn another_host_thread_can_resume(sandbox: &Sandbox) {
    let (_space, thread) = sandbox.program(&[0x0f, 0x05]);
    std::thread::scope(|scope| {
        scope.spawn(|| thread.resume(&start()));
    });
    assert_eq!(sandbox.next_trap().0, Trap::Syscall);
}

fn a_thread_that_was_ended_does_not_trap(sandbox: &Sandbox) {
    let (_space, thread) = sandbox.program(&[0xeb, 0xfe]);
    thread.resume(&start());
    thread.exit();
    thread.resume(&start());
    assert_eq!(sandbox.trap_within(Duration::from_millis(20)), None);
    assert_eq!(thread.fpu(), Err(errno::ESRCH));
}

fn a_thread_after_one_that_ended_begins_anew(sandbox: &Sandbox) {
    // 1: dec rcx; jnz 1b; movdqu [rdi], xmm0; syscall
    let code = [0x48, 0xff, 0xc9, 0x75, 0xfb, 0xf3, 0x0f, 0x7f, 0x07, 0x0f, 0x05];
    let (space, first) = sandbox.program(&code);
    let _other = sandbox.spawn(&space, 2);
    let mut bytes = FpuState::initial().bytes().to_vec();
    bytes[160..176].fill(0x5a); // xmm0
    bytes[512] = 2; // xstate_bv: SSE
    first.set_fpu(&FpuState::from_bytes(bytes)).unwrap();
    first.resume(&Registers { rdi: DATA, rcx: 100_000_000, fs_base: DATA, ..start() });
    assert_eq!(sandbox.next_trap().0, Trap::Syscall);
    let first_time = first.cpu_time();
    assert!(first_time.user + first_time.system >= Duration::from_millis(5));
    first.exit();

    let second = sandbox.spawn(&space, 1);
    // The handle of the first is of no use any more.
    first.resume(&start());
    first.interrupt();
    first.exit();
    assert_eq!(first.fpu(), Err(errno::ESRCH));
    assert!(first.cpu_time().user + first.cpu_time().system >= Duration::from_millis(5));
    assert_eq!(second.fpu().unwrap().bytes()[160..176], [0; 16]);
    second.resume(&Registers { rdi: DATA, rcx: 1, ..start() });
    let (thread, trap, registers) = sandbox.next_trap_of_any();
    assert_eq!((thread, trap, registers.fs_base), (1, Trap::Syscall, 0));
    let mut stored = [0xff; 16];
    space.read(DATA, &mut stored);
    assert_eq!(stored, [0; 16]);
    let second_time = second.cpu_time();
    assert!(second_time.user + second_time.system < Duration::from_millis(5), "{second_time:?}");
}

fn vector_registers_are_kept_and_hostile_ones_refused(sandbox: &Sandbox) {
    // movdqu [rdi], xmm0; syscall
    let (space, thread) = sandbox.program(&[0xf3, 0x0f, 0x7f, 0x07, 0x0f, 0x05]);
    let initial = thread.fpu().unwrap();
    assert_eq!(initial.bytes()[0..2], FpuState::initial().bytes()[0..2]);
    assert_eq!(initial.bytes()[24..28], FpuState::initial().bytes()[24..28]);

    let mut bytes = FpuState::initial().bytes().to_vec();
    bytes[160..176].fill(0x5a); // xmm0
    bytes[512] = 2; // xstate_bv: SSE
    thread.set_fpu(&FpuState::from_bytes(bytes.clone())).unwrap();
    thread.resume(&Registers { rdi: DATA, ..start() });
    assert_eq!(sandbox.next_trap().0, Trap::Syscall);
    let mut stored = [0; 16];
    space.read(DATA, &mut stored);
    assert_eq!(stored, [0x5a; 16]);
    assert_eq!(thread.fpu().unwrap().bytes()[160..176], [0x5a; 16]);
    let (form, state) = (thread.fpu_form().unwrap(), thread.fpu().unwrap());
    assert_eq!(form.bytes().len(), state.bytes().len());
    assert_eq!(form.bytes()[464..472], state.bytes()[464..472], "the features");
    thread.set_fpu(&FpuState::initial()).unwrap();

    let refused = |bytes: &[u8]| {
        assert_eq!(thread.set_fpu(&FpuState::from_bytes(bytes)), Err(errno::EINVAL));
    };
    refused(&[]);
    refused(&bytes[..575]);
    refused(&vec![0; 1 << 16]);
    let mut bad = bytes.clone();
    bad[24..28].fill(0xff); // MXCSR with reserved bits
    refused(&bad);
    bad = bytes.clone();
    bad[512..520].fill(0xff); // components that no processor has
    refused(&bad);
    bad = bytes;
    bad[520] = 1; // reserved in the header
    refused(&bad);
}
