//! Profiles, compiled and run.

use cloister_bpf::{Data, Instruction, Program};
use proptest::prelude::*;
use zerocopy::FromBytes;

use super::*;

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x5_0001;
const ENOSYS: u32 = 0x5_0026;

fn compiled(profile: &str) -> Result<Program, String> {
    let linux: Linux = serde_json::from_str(&format!(r#"{{"seccomp": {profile}}}"#)).unwrap();
    let spec = convert(Some(&linux)).map_err(|error| error.to_string())?.unwrap();
    let instructions: Vec<_> =
        spec.program.chunks(8).map(|bytes| Instruction::read_from_bytes(bytes).unwrap()).collect();
    Ok(Program::new(instructions).unwrap())
}

fn answer(program: &Program, call: Sysno, arguments: [u64; 6]) -> u32 {
    let number = u32::try_from(call.id()).unwrap();
    program.run(&Data::new(number, 0xc000_003e, 0, arguments)).value
}

#[test]
fn entries_count_in_their_order() {
    let program = compiled(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"],
            "syscalls": [
              {"names": ["read", "write", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
              {"names": ["read", "mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
              {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}]},
              {"names": ["mkdir"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}]},
              {"names": ["statx"], "action": "SCMP_ACT_LOG"}]}"#,
    )
    .unwrap();
    assert_eq!(answer(&program, Sysno::read, [0; 6]), ALLOW);
    assert_eq!(answer(&program, Sysno::write, [9; 6]), ALLOW);
    assert_eq!(answer(&program, Sysno::mkdir, [1; 6]), ENOSYS);
    assert_eq!(answer(&program, Sysno::socket, [1; 6]), ALLOW);
    assert_eq!(answer(&program, Sysno::socket, [40; 6]), EPERM);
    assert_eq!(answer(&program, Sysno::open, [0; 6]), EPERM);
    assert_eq!(answer(&program, Sysno::statx, [0; 6]), 0x7ffc_0000);
    // Newer than any that is named.
    assert_eq!(answer(&program, Sysno::clone3, [0; 6]), ENOSYS);
    let foreign = program.run(&Data::new(0, 0x4000_0003, 0, [0; 6]));
    assert_eq!(foreign.value, 0x8000_0000);
}

#[test]
fn a_permissive_default_is_for_newer_calls_too() {
    let program = compiled(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_KILL"}]}"#,
    )
    .unwrap();
    assert_eq!(answer(&program, Sysno::clone3, [0; 6]), ALLOW);
    assert_eq!(answer(&program, Sysno::mkdir, [0; 6]), 0);
    let empty = compiled(r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5}"#).unwrap();
    assert_eq!(answer(&empty, Sysno::clone3, [0; 6]), 0x5_0005);
}

#[test]
fn two_conditions_on_one_argument_are_alternatives() {
    let either = compiled(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["personality"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}]}"#,
    )
    .unwrap();
    let both = compiled(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["personality"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 8, "op": "SCMP_CMP_EQ"}]}]}"#,
    )
    .unwrap();
    let call = |program, first, second| answer(program, Sysno::personality, [first, second, 0, 0, 0, 0]);
    assert_eq!([0, 8, 4].map(|first| call(&either, first, 0)), [ALLOW, ALLOW, EPERM]);
    assert_eq!([(0, 8), (0, 7), (1, 8)].map(|(a, b)| call(&both, a, b)), [ALLOW, EPERM, EPERM]);
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let cases = [
        (
            r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#,
            "linux.seccomp.defaultAction SCMP_ACT_NOTIFY is not supported",
        ),
        (r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5000}"#, "errnoRet 5000 is above 4095"),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_KILL",
                "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]}"#,
            "linux.seccomp.syscalls[0].args 6: a call has arguments 0 to 5",
        ),
    ];
    for (profile, expected) in cases {
        let error = compiled(profile).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn every_call_has_its_own_decision() {
    // More than a short jump can skip: each call has conditions of its own.
    let names: Vec<_> = Sysno::iter().step_by(2).collect();
    let entries: Vec<_> = names
        .iter()
        .map(|call| {
            format!(
                r#"{{"names": ["{call}"], "action": "SCMP_ACT_ALLOW", "args": [{{"index": 5, "value": {}, "op": "SCMP_CMP_EQ"}}]}}"#,
                call.id()
            )
        })
        .collect();
    let profile = format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{}]}}"#, entries.join(","));
    let program = compiled(&profile).unwrap();
    let last = names.last().unwrap().id();
    for call in Sysno::iter() {
        let argument = u64::try_from(call.id()).unwrap();
        let default = if call.id() > last { ENOSYS } else { EPERM };
        let expected = if names.contains(&call) { ALLOW } else { default };
        assert_eq!(answer(&program, call, [0, 0, 0, 0, 0, argument]), expected, "{call}");
        assert_eq!(answer(&program, call, [argument + 1; 6]), default, "{call}");
    }
}

proptest! {
    #[test]
    fn conditions_hold_as_they_say(
        index in 0_usize..6,
        (value, argument) in (any::<u64>(), any::<u64>(), 0..4_u8).prop_map(|(value, other, near)| match near {
            0 => (value, value),
            1 => (value, value.wrapping_add(1)),
            2 => (value, value ^ 1 << 32),
            _ => (value, other),
        }),
        two in any::<u64>(),
    ) {
        let operators = [
            ("NE", argument != value),
            ("LT", argument < value),
            ("LE", argument <= value),
            ("EQ", argument == value),
            ("GE", argument >= value),
            ("GT", argument > value),
            ("MASKED_EQ", argument & value == two & value),
        ];
        for (name, holds) in operators {
            let profile = format!(
                r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{{"names": ["read"], "action": "SCMP_ACT_ALLOW",
                    "args": [{{"index": {index}, "value": {value}, "valueTwo": {two}, "op": "SCMP_CMP_{name}"}}]}}]}}"#
            );
            let mut arguments = [7; 6];
            arguments[index] = argument;
            let program = compiled(&profile).unwrap();
            prop_assert_eq!(answer(&program, Sysno::read, arguments) == ALLOW, holds, "{}", name);
        }
    }
}
